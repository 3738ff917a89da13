"""The tests of what people reported of this and other tools, by kind: `python -m tests.reports` prints them for pytest.

`scripts/test-engines --reports` runs them on engines and by clients that are named, for many reports are of one alone.
"""

import sys

REPORTS: dict[str, tuple[str, ...]] = {
    "what docker exec enters is entered": (
        "test_membership.py::test_an_honest_container_is_entered_on_this_machine",
        "test_parity.py::test_a_container_in_the_network_of_another_is_entered",
        "test_helper.py::test_a_helper_gives_what_docker_exec_gives",
        "test_helper.py::test_who_is_in_the_docker_group_enters_without_root",
        "test_helper.py::test_without_root_it_is_what_docker_exec_gives",
        "test_helper.py::test_what_nobody_could_remove_is_removed_by_the_next_entry",
        "test_helper.py::test_what_only_carries_our_label_is_nobodys_to_remove",
    ),
    "one container spoils nothing for all": (
        "test_look.py::test_a_first_process_that_is_a_zombie_costs_its_own_row_alone",
        "test_soak.py::test_containers_that_come_and_go_cost_no_list",
    ),
    "the terminal": (
        "test_jobs.py",
        "test_terminal.py::test_control_c_ends_a_command_with_130",
        "test_helper.py::test_control_z_stops_an_entered_command_that_has_no_shell",
        "test_helper.py::test_a_terminal_by_a_helper_is_the_containers",
        "test_shown.py::test_control_c_is_130_and_no_traceback_whenever_it_comes",
    ),
    "the caller's own state": ("test_scheduling.py", "test_stdin.py::test_a_directory_as_input_is_an_empty_one"),
    "names and hints": (
        "test_names.py::test_a_name_may_be_written_as_inspect_prints_it",
        "test_names.py::test_a_project_is_answered_by_its_services",
        "test_names.py::test_what_is_near_to_several_is_no_guess",
        "test_plugin.py::test_neighbours_habits_get_the_right_line",
        "test_plugin.py::test_dockers_own_options_are_read_as_docker_reads_them",
        "test_plugin.py::test_contexts_are_dockers",
        "test_process.py::test_what_cannot_run_has_dockers_status_and_one_sentence",
    ),
    "--why": (
        "test_why.py::test_the_limit_or_the_mount_is_named_and_what_lifts_it_works",
        "test_why.py::test_why_true_says_that_nothing_was_refused",
        "test_why.py::test_ss_over_the_hosts_files_is_a_few_lines",
        "test_why.py::test_arguments_are_the_manuals_words",
        "test_why.py::test_each_remedy_says_what_it_gives_away",
        "test_why.py::test_touch_as_app_is_offered_root_of_the_container_alone",
        "test_why.py::test_touch_on_a_read_only_root_is_told_that_the_line_writes_past_it",
    ),
    "engines and the ways to them": (
        "test_completion.py::test_an_engine_elsewhere_is_asked_within_the_usual_time",
        "test_helper.py::test_an_engine_elsewhere_is_entered_by_a_helper_of_an_image",
        "test_helper.py::test_from_inside_a_container_that_has_the_engines_socket_and_the_hosts_files",
        "test_lookup.py::test_what_is_no_engine_far_away_is_named_in_a_sentence",
        "test_lookup.py::test_a_reply_that_is_not_what_it_should_be",
    ),
    "--tools": (
        "test_tools.py::test_no_variable_of_the_containers_steers_a_tool",
        "test_tools.py::test_no_library_that_the_container_planted_is_loaded",
        "test_tools.py::test_utf_8_works_in_the_tools",
        "test_tools.py::test_an_image_is_shown_with_all_its_layers",
        "test_tools.py::test_a_helper_brings_them_too",
        "test_tools.py::test_layers_that_are_compressed_by_zstd_are_named_in_one_sentence",
    ),
    "installing and removing": ("test_install.py", "test_plugin.py::test_install_twice_and_uninstall_leaves_nothing"),
    "what the machine's keeper sees": (
        "test_shown.py::test_a_process_of_ours_says_what_it_is",
        "test_shown.py::test_a_helper_and_who_removes_it_say_what_they_are",
        "test_shown.py::test_the_command_shows_its_own_words_and_nothing_of_ours",
    ),
}


def every() -> list[str]:
    """Name them all."""
    return [test for tests in REPORTS.values() for test in tests]


if __name__ == "__main__":
    sys.stdout.write("".join(f"tests/engine/{test}\n" for test in every()))
