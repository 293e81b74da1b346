"""`hearth run` in a pseudo-terminal; `screen()` is what a person sees."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pyte
import pytest

GREETING = "/help tells the commands"
PROMPT = ">>>"
SPEED = re.compile(r"(\d+) tokens in, first word after (\d+) ms, (\d+) out at ([\d.]+) tokens/s")
ESCAPE = "\x1b"
WAIT_S = 60
CAPITAL = "What is the capital of France? Answer in one word."
STORY = "Tell me a very long story about a cat."


class Terminal:
    """A program whose controlling terminal is a new pseudo-terminal."""

    def __init__(self, command, columns=80, rows=50, output=None):
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.settings = termios.tcgetattr(self.slave)
        self.display = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.display)
        self.raw = b""
        self.arrivals = []  # (time, bytes)
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=self.slave if output is None else output,
            stderr=self.slave,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def read(self, seconds):
        """What comes next, for at most this long."""
        if not select.select([self.master], [], [], max(0, seconds))[0]:
            return
        data = os.read(self.master, 65536)
        self.arrivals.append((time.monotonic(), data))
        self.raw += data
        self.stream.feed(data)

    def text(self):
        """Everything so far, without escape codes."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw.decode(errors="replace")).replace(
            "\r", ""
        )

    def screen(self):
        return [line.rstrip() for line in self.display.display]

    def wait(self, condition, what, seconds=WAIT_S):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} does not come:\n" + "\n".join(
                self.screen()
            )
            self.read(0.1)

    def wait_prompt(self, seconds=WAIT_S):
        """Until the cursor stands behind an empty prompt and the line can be edited."""

        def at_prompt():
            # The prompt is on the screen a moment before the terminal hands over each key.
            if termios.tcgetattr(self.slave)[3] & termios.ICANON:
                return False
            line = self.screen()[self.display.cursor.y]
            return line == PROMPT and self.display.cursor.x == len(PROMPT) + 1

        self.wait(at_prompt, "the prompt", seconds)

    def type(self, text):
        os.write(self.master, text.encode())

    def enter(self, line, seconds=WAIT_S):
        """A line, up to the next prompt."""
        prompts = self.raw.count(PROMPT.encode())
        self.type(line + "\r")
        self.wait(lambda: self.raw.count(PROMPT.encode()) > prompts, "the next prompt", seconds)
        self.wait_prompt(seconds)

    def begin(self, question, words=1):
        """Asks, and waits for the first words of the answer."""
        begin = len(self.text())
        self.type(question + "\r")

        def answer():
            return self.text()[begin:].partition(question + "\n")[2]

        self.wait(lambda: len(answer().split()) > words, "an answer")
        assert not SPEED.search(answer()), "the answer is over already"

    def ask(self, question):
        """One turn. The answer, and (tokens in, milliseconds, tokens out, tokens/s)."""
        begin = len(self.text())
        speeds = len(SPEED.findall(self.text()))
        self.type(question + "\r")
        self.wait(lambda: len(SPEED.findall(self.text())) > speeds, "an answer")
        self.wait_prompt()
        turn = self.text()[begin:]
        speed = SPEED.search(turn)
        answer = turn[turn.index("\n") + 1 : speed.start()].strip("\n")
        return answer, tuple(float(number) for number in speed.groups())

    def end(self, seconds=WAIT_S):
        """The exit status of a program that ends by itself."""
        self.wait(lambda: self.process.poll() is not None, "the end", seconds)
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def chat(hearth, model):
    """Starts `hearth run` with these options, and waits for its prompt."""
    open_ones = []

    def start(*options, columns=80, output=None, wait=True):
        command = [hearth, "run", model, "--temperature", "0", *options]
        open_ones.append(Terminal(command, columns=columns, output=output))
        if wait:
            open_ones[-1].wait_prompt()
        return open_ones[-1]

    yield start
    for terminal in open_ones:
        terminal.close()


def test_conversation(chat):
    terminal = chat()
    assert GREETING in terminal.screen()[0]

    first, (tokens_in, _, tokens_out, speed) = terminal.ask(CAPITAL)
    assert "Paris" in first
    assert tokens_in > 10 and tokens_out > 3 and speed > 0

    # The first turn is part of the second one's prompt: its question, its answer and more.
    second, (second_in, _, _, _) = terminal.ask("What is it famous for?")
    assert second_in > tokens_in + tokens_out
    assert "Eiffel" in second or "Louvre" in second or "Paris" in second

    # Without it the same question is understood otherwise.
    terminal.enter("/clear")
    fresh, (fresh_in, _, _, _) = terminal.ask("What is it famous for?")
    assert fresh_in < tokens_in + tokens_out
    assert fresh != second


def test_answer_is_streamed(chat):
    terminal = chat("--max-tokens", "64")
    terminal.arrivals.clear()
    _, (_, _, tokens_out, _) = terminal.ask(STORY)
    assert tokens_out == 64
    words = [moment for moment, data in terminal.arrivals if b"tokens in" not in data]
    assert len(words) > 20
    assert words[-1] - words[1] > 20e-3  # 64 tokens do not come in one moment


def test_commands(chat):
    terminal = chat("--max-tokens", "16")
    terminal.enter("/help")
    for command in ("/clear", "/system", "/help", "/exit"):
        assert any(line.strip().startswith(command) for line in terminal.screen())

    terminal.enter("/nonsense")
    assert "/nonsense is no command" in terminal.text()

    plain, (plain_in, _, plain_out, _) = terminal.ask("Who are you?")
    terminal.enter("/system You are a pirate captain and end every sentence with: Arr!")
    pirate, (pirate_in, _, _, _) = terminal.ask("Who are you?")
    assert pirate != plain
    assert plain_in != pirate_in < plain_in + plain_out  # the first turn is forgotten

    terminal.type("/exit\r")
    assert terminal.end() == 0


def test_system_option(chat):
    system = "You are a pirate captain and end every sentence with: Arr!"
    by_option = chat("--max-tokens", "16", "--system", system).ask("Who are you?")
    terminal = chat("--max-tokens", "16")
    terminal.enter(f"/system {system}")
    by_command = terminal.ask("Who are you?")
    assert by_option[0] == by_command[0]
    assert by_option[1][0] == by_command[1][0]


def test_interrupt_stops_the_answer_only(chat):
    terminal = chat()
    terminal.begin(STORY, words=20)
    terminal.type("\x03")
    terminal.wait(lambda: SPEED.search(terminal.text()), "the end of the answer", 5)
    terminal.wait_prompt()
    assert int(SPEED.search(terminal.text()).group(3)) < 2048
    assert terminal.process.poll() is None
    terminal.enter("/clear")
    answer, _ = terminal.ask(CAPITAL)
    assert "Paris" in answer


def test_end_of_input_ends(chat):
    terminal = chat()
    # While a line is edited, the terminal is in another state than before and after.
    assert termios.tcgetattr(terminal.slave) != terminal.settings
    terminal.type("\x04")
    assert terminal.end() == 0
    assert termios.tcgetattr(terminal.slave) == terminal.settings


def test_settings_are_restored_after_an_interrupt(chat):
    terminal = chat()
    terminal.begin(STORY)
    terminal.type("\x03")
    terminal.wait_prompt()
    terminal.type("/exit\r")
    assert terminal.end() == 0
    assert termios.tcgetattr(terminal.slave) == terminal.settings


def test_line_editing(chat):
    terminal = chat("--max-tokens", "8")
    # Ctrl-A: to the beginning; Ctrl-U: all away; the upward arrow: the line before.
    terminal.type("is the capital of France?")
    terminal.type("\x01What ")
    shown = f"{PROMPT} What is the capital of France?"
    terminal.wait(lambda: shown in terminal.screen(), "the edited line")
    terminal.ask("")
    terminal.type("\x1b[A")
    terminal.wait(lambda: terminal.screen().count(shown) == 2, "the line before")
    terminal.type("\x15")
    terminal.wait_prompt()


def test_narrow_terminal(chat):
    terminal = chat("--max-tokens", "32", columns=40)
    question = "What is the capital of France, and what is the capital of Germany, please?"
    terminal.type(question)
    terminal.wait(lambda: question[-7:] in "".join(terminal.screen()), "the question")
    # Over two lines, with nothing lost where they meet.
    lines = terminal.display.display
    first = next(i for i, line in enumerate(lines) if line.startswith(PROMPT))
    assert (lines[first] + lines[first + 1] + lines[first + 2]).rstrip() == f"{PROMPT} {question}"
    terminal.ask("")
    lines = terminal.display.display
    assert lines[first].startswith(f"{PROMPT} What is")
    below = "".join(lines[first + 2 :])  # words may go over the end of a line
    assert "Paris" in below
    assert SPEED.search(below)


def test_escape_codes_only_for_terminals(hearth, model, chat):
    # Everything redirected.
    done = subprocess.run(
        [hearth, "run", model, "--temperature", "0", "--max-tokens", "8"],
        input=f"{CAPITAL}\n/help\n".encode(),
        capture_output=True,
        env={**os.environ, "TERM": "xterm-256color"},
        check=True,
    )
    assert b"Paris" in done.stdout
    assert ESCAPE.encode() not in done.stdout + done.stderr
    assert b"tokens/s" not in done.stdout + done.stderr

    # Typed in a terminal, with the output elsewhere: the answer and nothing else.
    reader, writer = os.pipe()
    terminal = chat("--max-tokens", "8", output=writer, wait=False)
    os.close(writer)
    terminal.wait(lambda: GREETING in terminal.text(), "the greeting")
    terminal.type(CAPITAL + "\r")
    terminal.wait(lambda: SPEED.search(terminal.text()), "the speed")
    terminal.type("\x04")
    assert terminal.end() == 0
    with os.fdopen(reader, "rb") as pipe:
        output = pipe.read()
    assert output == done.stdout

    # In a terminal there are some.
    terminal = chat("--max-tokens", "8")
    terminal.ask(CAPITAL)
    assert ESCAPE in terminal.raw.decode()


def test_one_question(chat):
    terminal = chat(CAPITAL, wait=False)
    assert terminal.end() == 0
    assert "Paris" in terminal.text()
    assert SPEED.search(terminal.text())
    assert PROMPT not in terminal.text()
    assert termios.tcgetattr(terminal.slave) == terminal.settings


def test_too_long_a_conversation_is_told(chat):
    terminal = chat("--ctx", "64")
    terminal.ask(STORY)
    terminal.enter("And then?")
    assert "/clear starts anew" in terminal.text()
    terminal.enter("/clear")
    answer, _ = terminal.ask(CAPITAL)
    assert "Paris" in answer


def half_a_line(chat):
    terminal = chat()
    terminal.type("half a line")
    terminal.wait(lambda: f"{PROMPT} half a line" in terminal.screen(), "the line")
    return terminal


def test_interrupt_at_the_prompt_empties_the_line(chat):
    terminal = half_a_line(chat)
    terminal.type("\x03")
    terminal.wait_prompt(2)
    assert terminal.process.poll() is None


def test_suspend_at_the_prompt(hearth, model):
    terminal = Terminal(["bash", "--norc", "-i"])
    try:
        terminal.type(f"{hearth} run {model}\r")
        terminal.wait_prompt()
        terminal.type("half a line")
        terminal.wait(lambda: f"{PROMPT} half a line" in terminal.screen(), "the line")
        terminal.type("\x1a")
        terminal.wait(lambda: "Stopped" in terminal.text(), "the shell", 2)
        terminal.type("fg\r")
        terminal.wait(lambda: terminal.screen().count(f"{PROMPT} half a line") == 2, "the line", 2)
        terminal.type("\x15/help\r")
        terminal.wait(lambda: "/exit" in terminal.text(), "help")
    finally:
        terminal.close()


def test_termination_at_the_prompt(chat):
    terminal = half_a_line(chat)
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == -signal.SIGTERM
    assert termios.tcgetattr(terminal.slave) == terminal.settings


def test_other_alphabets(chat):
    terminal = chat("--max-tokens", "8")
    terminal.type("Où est Zürich? 北京")
    terminal.type(" ok")
    terminal.wait(lambda: terminal.screen()[1].endswith("ok"), "the line")
    # A wide sign takes two columns; the second one is empty on the screen.
    assert terminal.screen()[1].replace(" ", "") == f"{PROMPT} Où est Zürich? 北京 ok".replace(
        " ", ""
    )


def test_interrupt_before_the_first_word(chat):
    # Some seconds of reading, in steps of milliseconds.
    terminal = chat("--system", "word " * 6000, "--max-batch-tokens", "64", "--threads", "1")
    terminal.type("Hello\r")
    terminal.wait(lambda: f"{PROMPT} Hello" in terminal.screen(), "the question")
    terminal.read(0.3)
    terminal.type("\x03")
    prompts = terminal.raw.count(PROMPT.encode())
    terminal.wait(lambda: terminal.raw.count(PROMPT.encode()) > prompts, "the prompt", 1)


def test_closed_output_ends_the_answer(hearth, model):
    process = subprocess.Popen(
        [hearth, "run", model, STORY, "--temperature", "0",
         "--max-tokens", "300"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.read(1)
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(WAIT_S) != 0
    assert len(errors.splitlines()) <= 1
