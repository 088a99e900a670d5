"""`threads`, `runs`, `agents`, `channels`: lists, details and changes."""

from cli_process import Cli


def test_a_list_is_the_default(running: Cli) -> None:
    thread = running.json("send", "say the quick brown fox")["thread_id"]
    line = next(line for line in running.lines("threads") if thread in line)
    assert line.endswith("say the quick brown fox")
    assert running.json("threads", "list", "--limit", "1")[0]["id"] == thread
    assert running.lines("threads", "--limit", "1")[0].split() == [
        "id",
        "updated",
        "status",
        "agent",
        "from",
        "title",
    ]


def test_search_finds_messages(running: Cli) -> None:
    thread = running.json("send", "say zebra crossing")["thread_id"]
    assert {match["thread_id"] for match in running.json("threads", "--search", "zebra cross")} == {thread}
    assert running.run("threads", "--search", "nothing-like-it").stderr == "Nothing found.\n"


def test_a_thread_is_shown_named_put_away_and_erased(running: Cli) -> None:
    thread = running.json("send", "say hello")["thread_id"]
    assert running.lines("threads", "rename", thread, "A better title")[0].endswith("A better title")
    assert running.json("threads", "show", thread)["thread"]["title"] == "A better title"
    shown = "\n".join(running.lines("threads", "show", "last"))
    assert "A better title" in shown
    assert "say hello" in shown
    running.lines("threads", "archive", thread)
    assert thread not in "\n".join(running.lines("threads"))
    assert thread in "\n".join(running.lines("threads", "--status", "archived"))
    running.lines("threads", "restore", thread)
    assert thread in "\n".join(running.lines("threads"))
    assert "Give --yes" in running.refused("threads", "delete", thread)
    assert running.lines("threads", "delete", thread, "--yes") == [f"erased {thread}"]
    assert "no such thread" in running.refused("threads", "show", "thr_nope")


def test_runs_are_listed_shown_stopped_and_done_again(running: Cli) -> None:
    failed = running.run("send", "fail", "--json")
    assert failed.returncode == 1
    newest = running.json("runs", "--thread", "last")[0]
    assert (newest["state"], newest["error"]["kind"]) == ("failed", "agent_error")
    assert newest["id"] in "\n".join(running.lines("runs", "--state", "failed"))
    assert "agent_error" in "\n".join(running.lines("runs", "show", newest["id"]))
    (again,) = running.lines("runs", "retry", newest["id"])
    assert running.json("runs", "show", again)["thread_id"] == newest["thread_id"]
    waiting = running.json("send", "sleep 60", "--no-wait")["run_id"]
    assert running.lines("runs", "cancel", waiting, "--reason", "enough") == [f"cancelled {waiting}"]
    assert running.json("runs", "show", waiting)["state"] == "cancelled"
    assert "cancelled" in running.refused("runs", "cancel", waiting)


def test_agents_and_channels(running: Cli) -> None:
    assert running.json("agents")[0]["id"] == "demo"
    assert "default" in running.lines("agents")[1]
    assert running.json("channels") == []
    assert "No channels" in running.run("channels").stderr
