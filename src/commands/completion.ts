import { type Command, type CommandList, flagsOf, UsageError } from "./command.ts";
import { OPTION_FLAGS, type OptionFlag } from "./flags.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
const WHAT = `the name of a shell: ${SHELLS.join(", ")}`;

/** `runegate completion`: what makes a shell complete the rest of this program's command lines. */
export function createCompletion({ names, find }: CommandList): Command {
  return {
    name: "completion",
    summary: "print a script that completes commands and options in a shell",
    help: `Usage: runegate completion ${SHELLS.join("|")}

Prints a script that lets a shell complete commands, options and their values.

  bash    runegate completion bash > /etc/bash_completion.d/runegate
  zsh     echo 'source <(runegate completion zsh)' >> ~/.zshrc
  fish    runegate completion fish > ~/.config/fish/completions/runegate.fish`,
    words: SHELLS,
    takes: { least: 1, most: 1, what: WHAT },

    async run({ words: [word] }, io) {
      const shell = SHELLS.find((name) => name === word);
      if (shell === undefined) throw new UsageError(`completion takes ${WHAT}.`);
      const commands = (await Promise.all(names.map(find))).filter((command) => command !== undefined);
      const script = SCRIPTS[shell](commands);
      io.out(script);
      return { data: { shell, script } };
    },
  };
}

type Flag = Pick<OptionFlag, "spelling" | "takes" | "words" | "help">;

/** Nobody is to write a secret into a command line. */
const OPTIONS: readonly Flag[] = OPTION_FLAGS.filter(({ secret }) => secret !== "always");

function ownFlags(command: Command): Flag[] {
  return Object.entries(flagsOf(command)).flatMap(([name, { type, values: words = [], hidden }]): Flag[] => {
    const takes = type === "boolean" ? "nothing" : name.endsWith("file") ? "file" : "value";
    return hidden ? [] : [{ spelling: `--${name}`, takes, words, help: "" }];
  });
}

const spellings = (flags: readonly Flag[]) => flags.map(({ spelling }) => spelling).join(" ");

/** It understands the script for bash, once its own completion is at work. */
const FOR_ZSH = `(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
autoload -Uz bashcompinit && bashcompinit`;

function bashScript(commands: readonly Command[]): string {
  const options = `--help ${spellings(OPTIONS)}`;
  const arms = commands.map((command) => {
    const words = [...(command.words ?? []), spellings(ownFlags(command))].join(" ");
    return `    ${command.name}) words="${words}${command.readsOptions ? " $options" : ""}" ;;`;
  });
  const valued = [...OPTIONS, ...commands.flatMap(ownFlags)];
  const taking = (kind: Flag["takes"]) =>
    valued.filter(({ takes, words }) => takes === kind && words.length === 0);
  const patterns = (kind: Flag["takes"]) => spellings(taking(kind)).replaceAll(" ", "|");
  const choices = valued.filter(({ words }) => words.length > 0);
  return `_runegate() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}" words prefix=""
  local options="${options}"
  # --name=value is three words in bash, and one in zsh.
  if [ "$word" = "=" ]; then word=""; elif [ "$before" = "=" ]; then before="\${COMP_WORDS[COMP_CWORD - 2]}"; fi
  case "$word" in --*=*) before="\${word%%=*}" prefix="\${word%%=*}=" word="\${word#*=}" ;; esac
  case "\${COMP_WORDS[1]}" in
${arms.join("\n")}
    --*) words="$options" ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="${commands.map(({ name }) => name).join(" ")} $options"; fi
  case "$before" in
${choices.map(({ spelling, words }) => `    ${spelling}) words="${words.join(" ")}" ;;`).join("\n")}
    ${patterns("file")}) COMPREPLY=($(compgen -P "$prefix" -f -- "$word")); return ;;
    ${patterns("value")}) words="" ;;
  esac
  COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$word"))
}
complete -F _runegate runegate`;
}

function fishScript(commands: readonly Command[]): string {
  const within = (names: readonly string[], rest: string) =>
    `complete -c runegate -n '__fish_seen_subcommand_from ${names.join(" ")}' ${rest}`;
  const flagLine = (names: readonly string[]) => (flag: Flag) =>
    within(names, `-l ${flag.spelling.slice(2)} ${fishTakes(flag)} -d ${fishQuoted(flag.help)}`);
  const readers = commands.filter(({ readsOptions }) => readsOptions).map(({ name }) => name);
  return [
    "complete -c runegate -f",
    ...commands.flatMap((command) => [
      `complete -c runegate -n __fish_use_subcommand -a ${command.name} -d ${fishQuoted(command.summary)}`,
      within([command.name], `-a '${command.words?.join(" ") ?? ""}'`),
      ...ownFlags(command).map(flagLine([command.name])),
    ]),
    ...OPTIONS.map(flagLine(readers)),
  ].join("\n");
}

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (commands: readonly Command[]) => string>> = {
  bash: bashScript,
  zsh: (commands) => `${FOR_ZSH}\n${bashScript(commands)}`,
  fish: fishScript,
};

function fishTakes({ takes, words }: Flag): string {
  if (takes === "file") return "-r -F";
  return takes === "value" ? `-x -a '${words.join(" ")}'` : "";
}

/** The first sentence, in single quotes. */
function fishQuoted(help: string): string {
  const sentence = help.replace(/[.;:] .*$|\.$/s, "").replaceAll("`", "");
  return `'${sentence.replaceAll(/['\\]/g, "\\$&")}'`;
}
