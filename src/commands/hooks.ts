import { systemRandom } from "../clock.ts";
import { ControlError } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { ListedHook } from "../hooks/api.ts";
import { writeSecret } from "../hooks/table.ts";
import { escapeUnsafe } from "../observe/unsafe-characters.ts";
import { type Command, failed, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

/** As long as what HMAC-SHA256 makes: more would add nothing. */
const SECRET_BYTES = 32;

/** `runegate hooks`: the programs that are told what happens, or asked whether it may. */
export const hooks: Command = {
  name: "hooks",
  summary: "list hooks, try one, or make a secret for one",
  help: `Usage: runegate hooks [list]
       runegate hooks test NAME
       runegate hooks secret

  list        the hooks of routes.toml, what each has not been told yet, and
              which are off because they said 410 (the default)
  test NAME   sends a signed event of type "test" to one now, and prints what it
              answers. One that is off is told again once it takes this
  secret      prints a fresh secret, a line for the secret_file of a hook

${REACH_HELP}

Exit codes: ${EXIT.done} done, or taken with 2xx; ${EXIT.failed} not taken, no such hook, or neither an instance
nor a store could be reached.

Example: runegate hooks test crm`,

  readsOptions: true,
  words: ["list", "test", "secret"],
  takes: { least: 0, most: 2, what: "list, test or secret, and which" },

  async run({ words: [verb = "list", name] }, io) {
    if (verb !== "list" && verb !== "test" && verb !== "secret")
      throw new UsageError(`there is no "hooks ${verb}".`);
    if ((name === undefined) === (verb === "test"))
      throw new UsageError(verb === "test" ? "test takes the name of a hook." : `${verb} takes nothing.`);
    if (verb === "secret") {
      const secret = writeSecret(systemRandom.bytes(SECRET_BYTES));
      io.out(secret);
      return { data: { secret } };
    }
    if (name === undefined) {
      return operate(
        io,
        async (operator) => {
          const listed = await operator.hooks();
          io.out(tableOf(listed));
          return { data: listed };
        },
        true,
      );
    }
    return operate(
      io,
      async (operator) => {
        try {
          const tested = await operator.testHook(name);
          const { status, milliseconds } = tested;
          const text = tested.text.split("\n").map(escapeUnsafe).join("\n").trimEnd();
          if (status === null) return failed(io, `${name} gave no answer: ${text}`);
          io.out(`${name} answered ${status} after ${milliseconds} ms.${text === "" ? "" : `\n${text}`}`);
          return { code: status >= 200 && status < 300 ? EXIT.done : EXIT.failed, data: tested };
        } catch (error) {
          if (!(error instanceof ControlError) || error.code !== "not_found") throw error;
          return failed(io, `There is no hook ${name}; \`runegate hooks\` lists them.`);
        }
      },
      true,
    );
  },
};

function tableOf(listed: readonly ListedHook[]): string {
  if (listed.length === 0) return "There are no hooks.";
  return table([
    ["NAME", "MODE", "EVENTS", "URL", "WAITING", "OFF SINCE"],
    ...listed.map(({ name, mode, events, url, waiting, off_since }) => [
      name,
      mode,
      events.join(","),
      url,
      String(waiting),
      off_since === null ? "" : minutes(off_since),
    ]),
  ]);
}
