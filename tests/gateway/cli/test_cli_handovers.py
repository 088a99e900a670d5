"""`threads take|assign|give-back` and `route explain`; what `tail`, `send` and `chat` show of it, and of questions."""

import signal

from cli_process import Cli, stop


def test_a_thread_is_taken_handed_on_and_given_back(running: Cli) -> None:
    thread = running.json("send", "say hello")["thread_id"]
    assert running.lines("threads", "take", "last", "--note", "mine") == [
        f"{thread} is answered by local operator"
    ]
    assert "taken over by" in "\n".join(running.lines("threads", "show", thread))
    assert running.json("threads", "show", thread)["thread"]["assignee"]["name"] == "local operator"
    (line,) = [line for line in running.lines("threads") if thread in line]
    assert "local operator (person)" in line
    said = running.run("send", "--thread", thread, "I answer myself")
    assert said.returncode == 0 and "this is its answer" in said.stderr
    handed = running.lines("threads", "assign", thread, "--to", "slack:U1", "--name", "Olga")
    assert handed == [f"{thread} is answered by Olga"]
    assert "Olga has taken over this thread" in running.refused("send", "--thread", thread, "say hi", code=1)
    assert "There is no agent 'nobody'" in running.refused(
        "threads", "give-back", thread, "--agent", "nobody"
    )
    assert running.lines("threads", "give-back", thread) == [f"{thread} is answered by the agent demo"]
    assert running.lines("send", "--thread", thread, "say hi") == ["hi"]

    tail = running.start("tail", "--thread", thread, "--from", "start")
    assert tail.stdout is not None
    updates: list[str] = []
    while len(updates) < 3 and (line := tail.stdout.readline()):
        updates += [line] if "thread.updated" in line else []
    stop(tail, signal.SIGINT)
    assert [line.split("thread.updated")[1].strip() for line in updates] == [
        "local operator has taken over",
        "local operator has handed this thread to Olga",
        "local operator has given this thread back to the agent",
    ]


def test_a_question_is_printed_and_the_next_message_answers_it(running: Cli) -> None:
    asked = running.run("send", "ask Which one?")
    assert (asked.returncode, asked.stdout) == (0, "Which one?\n")
    assert "threadgate send --thread thr_" in asked.stderr
    thread = running.json("threads", "--limit", "1")[0]["id"]
    assert "the second" in "\n".join(running.lines("send", "--thread", thread, "the second"))
    again = running.json("send", "ask Which one?")
    assert (again["state"], again["prompt"]) == ("waiting", "Which one?")

    tail = running.start("tail", "--thread", thread, "--from", "start")
    assert tail.stdout is not None
    while "run.waiting" not in (line := tail.stdout.readline()):
        assert line
    stop(tail, signal.SIGINT)
    assert line.rstrip().endswith("asks: Which one?")


def test_in_a_chat_the_next_line_answers_a_question(running: Cli) -> None:
    chat = running.run("chat", said="ask Which one?\nthe first\n")
    assert chat.returncode == 0, chat.stderr
    assert chat.stdout.startswith("Which one?\n") and "the first" in chat.stdout
    assert "your next message is the answer" in chat.stderr


def test_a_route_is_explained(running: Cli) -> None:
    lines = running.lines(
        "route", "explain", "--channel", "slack", "--room", "C1", "--mention", "hello there"
    )
    assert dict(line.split(None, 1) for line in lines[:3]) == {
        "agent": "demo",
        "by": "the default",
        "gets": "hello there",
    }
    assert lines[-1] == "No rule fits, so the default agent demo answers."
    assert running.json("route", "explain", "hello")["agent_id"] == "demo"
