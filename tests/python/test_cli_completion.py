"""slipring completion: the shells themselves complete what the program takes."""
import os
import re
import shutil
import subprocess

import pytest
from conftest import BUILD

PROGRAM = os.path.join(BUILD, "slipring")


def script(shell):
    return subprocess.run([PROGRAM, "completion", shell], text=True, capture_output=True, check=True).stdout


def commands():
    text = subprocess.run([PROGRAM, "--help"], text=True, capture_output=True, check=True).stdout
    return re.findall(r"^  ([a-z]+) ", text.split("Options of all")[0], re.M)


def options(command):
    text = subprocess.run([PROGRAM, command, "--help"], text=True, capture_output=True, check=True).stdout
    return set(re.findall(r"^  -\w, (--[a-z-]+)", text, re.M))


def bash(folder, *words):
    """What bash offers for the last word."""
    (folder / "slipring.bash").write_text(script("bash"))
    quoted = " ".join(f"'{w}'" for w in words)
    code = f"source slipring.bash; COMP_WORDS=(slipring {quoted}); COMP_CWORD={len(words)}; _slipring; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "--norc", "-u", "-c", code], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_bash_offers_commands_and_their_options(tmp_path):
    assert bash(tmp_path, "") == commands()
    assert bash(tmp_path, "ex") == ["export"]
    assert bash(tmp_path, "-H", "n1", "--timeout", "5s", "st") == ["stats", "status"]
    for command in commands():
        assert set(bash(tmp_path, command, "--")) == options(command)
        assert bash(tmp_path, "-H", "n1", command, "--js") == ["--json"]


def test_bash_offers_what_an_argument_may_be(tmp_path):
    for name in ("keys one", "keys two", "other"):
        (tmp_path / name).write_text("")
    assert bash(tmp_path, "stats", "s") == ["store", "sockets"]
    assert bash(tmp_path, "completion", "") == ["bash", "zsh"]
    assert bash(tmp_path, "help", "to") == ["touch", "top"]
    assert sorted(bash(tmp_path, "import", "k")) == ["keys one", "keys two"]
    assert bash(tmp_path, "set", "k", "@ot") == ["@other"]
    assert bash(tmp_path, "get", "k", "--key-file", "ot") == ["other"]
    assert bash(tmp_path, "get", "-K", "ot") == ["other"]
    assert bash(tmp_path, "get", "-t", "") == []
    assert bash(tmp_path, "get", "") == []




@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_offers_commands_options_and_files(tmp_path):
    (tmp_path / "_slipring").write_text(script("zsh"))
    (tmp_path / "keys.txt").write_text("")
    # Completion runs in an interactive zsh, which zpty holds; what it lists is read there.
    (tmp_path / "ask").write_text(r"""
zmodload zsh/zpty
ask() {
	zpty z zsh -f -i
	zpty -w z "PROMPT=; cd $PWD; fpath=($PWD \$fpath); autoload -U compinit; compinit -u -D; setopt auto_list no_beep; unsetopt menu_complete auto_menu; stty cols 200 rows 100; LISTMAX=0; zstyle ':completion:*' list-prompt ''; zstyle ':completion:*' insert-tab false; echo re''ady"
	local text= part
	while zpty -r z part; do [[ $part == *ready* ]] && break; done
	while [[ $text != *$'\e[?2004h'* ]]; do  # the line editor is up; keys typed before it would be no keys to it
		zpty -r -t z part && text+=$part || sleep 0.05
	done
	text=
	zpty -w -n z "$1"$'\t\t'
	zpty -w -n z $'\x15'
	zpty -w z "echo do''ne"
	while zpty -r z part; do text+=$part; [[ $part == *done* ]] && break; done
	print -r -- "$text"
	zpty -d z
}
ask "$1"
""")

    def ask(line):
        done = subprocess.run(["zsh", "-f", "ask", line], cwd=tmp_path, text=True, capture_output=True, timeout=60,
                              env={**os.environ, "TERM": "dumb"})
        assert "error" not in done.stdout and "error" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    listed = ask("slipring ")
    for command in commands():
        assert re.search(rf"\b{command}\b +-- ", listed), (command, listed)
    listed = ask("slipring set --")
    for option in options("set"):
        assert option in listed, (option, listed)
    assert "--once" not in listed
    assert "keys.txt" in ask("slipring import k")
    assert "memcached" in ask("slipring stats ")
    assert "--from" in ask("slipring -H n1 export --")


def test_other_shells_are_refused():
    done = subprocess.run([PROGRAM, "completion", "fish"], text=True, capture_output=True)
    assert done.returncode == 2 and "there are bash and zsh" in done.stderr
