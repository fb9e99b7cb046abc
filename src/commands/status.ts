import type { ShownStatus } from "../admin/api.ts";
import { EXIT } from "../exit.ts";
import type { Command } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { table } from "./table.ts";

/** `runegate status`: how things are, at one look. */
export const status: Command = {
  name: "status",
  summary: "say how things are: sessions, mail, applications, the store",
  help: `Usage: runegate status

${REACH_HELP}
What the last day had is known to a running instance alone.

Exit codes: ${EXIT.done} done; ${EXIT.failed} the store cannot be used, or neither an instance nor a
store could be reached.

Example: runegate status --json`,

  readsOptions: true,

  async run(_, io) {
    return operate(io, async (operator) => {
      const shown = await operator.status();
      io.out(inWords(shown));
      return { code: shown.store.problem === null ? EXIT.done : EXIT.failed, data: shown };
    });
  },
};

function inWords({ version, store, sessions, mail, applications, last_day }: ShownStatus): string {
  const closed = applications.filter((one) => one.closed !== null).map(({ name }) => name);
  const down = applications.filter(({ targets, up }) => up === 0 && targets > 0).map(({ name }) => name);
  const { requests, logins, refusals } = last_day;
  return table([
    ["version", version],
    ["store", `${store.kind}, ${store.problem ?? "ready"}`],
    ["sessions", `${sessions ?? "unknown"}`],
    ["mail", mail === null ? "unknown" : `${mail.waiting} waiting, ${mail.failed} of them have failed`],
    [
      "applications",
      [`${applications.length}`, listed("closed", closed), listed("down", down)].flat().join(", "),
    ],
    ["last day", `${requests} requests, ${logins} logins, ${refusals} refusals`],
  ]);
}

function listed(what: string, names: readonly string[]): string[] {
  return names.length === 0 ? [] : [`${what}: ${names.join(", ")}`];
}
