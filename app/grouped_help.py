"""The help of the program, its commands under headings; argparse knows one heading for all of them."""

import argparse

SERVING = ("serve", "caption", "index", "search", "plan")
TOOLS = ("doctor", "bench", "completion")


class GroupedHelp(argparse.HelpFormatter):
    """Commands for serving, for training, which are all others, and tools."""

    def _format_action(self, action: argparse.Action) -> str:
        if not isinstance(action, argparse._SubParsersAction):
            return super()._format_action(action)
        commands = {command.dest: command for command in action._get_subactions()}
        training = [name for name in commands if name not in SERVING + TOOLS]
        text = []
        for heading, names in (("serving", SERVING), ("training", training), ("tools", TOOLS)):
            listed = [name for name in names if name in commands]
            if not listed:
                continue
            text.append(f"{' ' * self._current_indent}{heading}:\n")
            self._indent()
            text += [super(GroupedHelp, self)._format_action(commands[name]) for name in listed]
            self._dedent()
        return "".join(text)
