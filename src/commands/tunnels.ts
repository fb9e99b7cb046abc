import { ControlError, type Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { Io } from "../process/io.ts";
import type { ListedTunnel, MadeTunnel } from "../tunnel/api.ts";
import { type Command, failed, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

/** `runegate tunnels`: applications behind a router, and the tokens of their connectors. */
export const tunnels: Command = {
  name: "tunnels",
  summary: "list, make, rotate or revoke tunnels to machines behind a router",
  help: `Usage: runegate tunnels [list]
       runegate tunnels create NAME
       runegate tunnels rotate NAME
       runegate tunnels revoke NAME
       runegate tunnels status

  list         which there are, and when a connector was last there (the default)
  create NAME  make one, and print the token of its connectors: this once
  rotate NAME  another token, printed likewise; the one before goes on for 10
               minutes
  revoke NAME  end it and its token; who is connected is cut off within 5 seconds
  status       who is connected, since when, from where, and how much goes through

The application is reached by target = "tunnel:NAME" in routes.toml, or by
RUNEGATE_TARGET_SERVICE=tunnel:NAME; \`runegate connect\` is the other end.

${REACH_HELP}

Exit codes: ${EXIT.done} done, ${EXIT.failed} refused, no such tunnel, or neither an instance nor a store
could be reached.

Example: runegate tunnels create home`,

  readsOptions: true,
  words: ["list", "create", "rotate", "revoke", "status"],
  takes: { least: 0, most: 2, what: "list, create, rotate, revoke or status, and which" },

  async run({ words: [verb = "list", name] }, io) {
    if (!["list", "create", "rotate", "revoke", "status"].includes(verb))
      throw new UsageError(`there is no "tunnels ${verb}".`);
    const isAboutAll = verb === "list" || verb === "status";
    if ((name === undefined) !== isAboutAll)
      throw new UsageError(`${verb} takes ${isAboutAll ? "no name" : "the name of a tunnel"}.`);
    return operate(io, async (operator) => {
      try {
        return await carryOut(operator, verb, name, io);
      } catch (error) {
        if (!(error instanceof ControlError) || error.code !== "not_found") throw error;
        return failed(io, `There is no tunnel ${name}; \`runegate tunnels\` lists them.`);
      }
    });
  },
};

async function carryOut(
  operator: Operator,
  verb: string,
  name: string | undefined,
  io: Io,
): Promise<Outcome> {
  if (name === undefined) {
    const listed = await operator.tunnels();
    io.out(verb === "list" ? tableOf(listed) : statusOf(listed));
    return { data: listed };
  }
  if (verb === "create") return printed(await operator.createTunnel(name), io);
  if (verb === "rotate") return printed(await operator.rotateTunnel(name), io);
  await operator.revokeTunnel(name);
  io.out(`The tunnel ${name} is revoked.`);
  return { data: { name } };
}

/** The token alone, for whatever it is piped into. */
function printed(made: MadeTunnel, io: Io): Outcome {
  io.out(made.token);
  return { data: made };
}

function tableOf(listed: readonly ListedTunnel[]): string {
  if (listed.length === 0) return "There are no tunnels.";
  return table([
    ["NAME", "TOKEN", "MADE", "BY", "CONNECTED", "LAST SEEN"],
    ...listed.map(({ name, token, created_at, created_by, connections, last_seen_at }) => [
      ...[name, token, minutes(created_at), created_by, String(connections.length)],
      last_seen_at === null ? "never" : minutes(last_seen_at),
    ]),
  ]);
}

function statusOf(listed: readonly ListedTunnel[]): string {
  const rows = listed.flatMap(({ name, connections }) =>
    connections.map((one) => [
      ...[name, minutes(one.since), one.from, one.version],
      one.round_trip_ms === null ? "" : `${one.round_trip_ms} ms`,
      ...[String(one.streams), String(one.bytes_sent), String(one.bytes_received)],
    ]),
  );
  if (rows.length === 0) return "No connector is connected.";
  return table([
    ["TUNNEL", "SINCE", "FROM", "VERSION", "ROUND TRIP", "STREAMS", "SENT", "RECEIVED"],
    ...rows,
  ]);
}
