import { loadAccess } from "../config/configuration.ts";
import { policyOf } from "../config/routes.ts";
import { ControlError, connectControl, type Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import type { SharedLinkItem, WantedLink } from "../login/api.ts";
import type { Io } from "../process/io.ts";
import { type Command, failed, type Given, type Outcome, UsageError } from "./command.ts";
import { minutes, table } from "./table.ts";

const FLAGS = {
  qr: { type: "boolean" },
  // Not --routes, which names the file of them.
  route: { type: "string" },
  uses: { type: "string" },
  ttl: { type: "string" },
} as const;
type Values = Given<typeof FLAGS>["values"];

const TAKES = "one address, or list, or revoke and the id of a link";

/** `runegate link`: a way in for an operator whose mail does not work. */
export const link: Command<typeof FLAGS> = {
  name: "link",
  summary: "print a login link for an address",
  help: `Usage: runegate link ADDRESS [--qr] [--route NAME] [--uses N [--ttl 8h]]
       runegate link list
       runegate link revoke ID

Asks the running instance for a login link and prints it, for when mail does
not work. The link is as good as the one in a mail: for one use, for as long
as RUNEGATE_MAGIC_LINK_EXPIRY says, only for an address that may sign in, and
it always asks for confirmation. Whoever has it can sign in as that address.

  --qr          also as a QR code, for a phone to scan from the terminal
  --route NAME  leads to this application
  --uses N      good N times, at most 20; each use is a sign-in of its own.
                RUNEGATE_MULTI_USE_LINKS has to be true
  --ttl 8h      how long that one is good, at most 7d
  list          links for several uses that have not ended
  revoke ID     ends one; who has signed in with it stays signed in

Exit codes: ${EXIT.done} done, ${EXIT.failed} no running instance, or it was refused.

Example: runegate link ada@example.org`,

  readsOptions: true,
  flags: FLAGS,
  words: ["list", "revoke"],
  takes: { least: 1, most: 2, what: TAKES },

  async run({ values, words }, io) {
    const work = workFor(values, words);
    const { options, routesFile } = loadAccess(io);
    const { email } = work;
    // Whom an administrator has let in the running instance knows.
    const mayBeGranted = options.dynamicUsers;
    if (email !== undefined && !mayBeGranted && !policyOf(options, routesFile).allows(email)) {
      const where =
        routesFile === undefined ? "" : ", or either to allow of a route in routes.toml or to a group there";
      const remedy = `add it to RUNEGATE_ALLOWED_EMAILS or its domain to\nRUNEGATE_ALLOWED_DOMAINS${where}, and reload Runegate.`;
      return failed(io, `${email} may not sign in: ${remedy}`);
    }
    if (options.controlSocket === undefined)
      return failed(io, "RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be asked.");
    try {
      return await work.run(connectControl(options.controlSocket), io);
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      return failed(io, error.message);
    }
  },
};

type Work = { readonly email?: Address; run(operator: Operator, io: Io): Promise<Outcome> };

/** @throws {UsageError} */
function workFor(values: Values, [first = "", second]: readonly string[]): Work {
  const isAddress = first !== "list" && first !== "revoke";
  if (isAddress ? second !== undefined : (first === "revoke") !== (second !== undefined))
    throw new UsageError(`link takes ${TAKES}.`);
  if (isAddress) {
    const wanted = wantedIn(values, addressIn(first));
    return { email: addressIn(first), run: (operator, io) => make(operator, wanted, values.qr === true, io) };
  }
  const [flag] = Object.keys(FLAGS).filter((name) => name in values);
  if (flag !== undefined) throw new UsageError(`link ${first} takes no --${flag}.`);
  if (second === undefined) return { run: list };
  return { run: (operator, io) => revoke(operator, second, io) };
}

/** @throws {UsageError} */
function wantedIn({ route, uses, ttl }: Values, email: string): WantedLink {
  if (uses !== undefined && !/^(?:[1-9]|1[0-9]|20)$/.test(uses))
    throw new UsageError("--uses takes a whole number from 1 to 20.");
  if (ttl !== undefined && uses === undefined) throw new UsageError("--ttl is for links with --uses.");
  return {
    email,
    ...(route === undefined ? {} : { route }),
    ...(uses === undefined ? {} : { uses: Number(uses) }),
    ...(ttl === undefined ? {} : { ttl }),
  };
}

async function make(operator: Operator, wanted: WantedLink, asQr: boolean, io: Io): Promise<Outcome> {
  const made = await operator.link(wanted);
  io.out(made.link);
  if (asQr) await draw(made.link, io);
  return { data: made };
}

/** In black on white, whatever the colors of the terminal. Where it goes somewhere else, or may have no colors, as blocks alone. */
async function draw(text: string, io: Io): Promise<void> {
  const [{ linesOf, qrOf }, { isTerminal }] = await Promise.all([
    import("../pages/qr.ts"),
    import("../process/terminal.ts"),
  ]);
  const code = await qrOf(text, "L", 2);
  const onTerminal = isTerminal(1);
  const columns = onTerminal ? process.stdout.columns : code.size;
  if (columns < code.size) {
    io.err(`The QR code needs ${code.size} columns, and this terminal has ${columns}.`);
    return;
  }
  io.out(linesOf(code, onTerminal && io.env.NO_COLOR === undefined).join("\n"));
}

async function list(operator: Operator, io: Io): Promise<Outcome> {
  const links = await operator.links();
  io.out(links.length === 0 ? "There are no links for several uses." : tableOf(links));
  return { data: links };
}

function tableOf(links: readonly SharedLinkItem[]): string {
  return table([
    ["ID", "ADDRESS", "USED", "MADE", "ENDS", "ROUTE"],
    ...links.map(({ id, email, used, uses, created_at, expires_at, route }) => [
      ...[id, email, `${used} of ${uses}`, minutes(created_at), minutes(expires_at), route ?? ""],
    ]),
  ]);
}

async function revoke(operator: Operator, id: string, io: Io): Promise<Outcome> {
  try {
    await operator.revokeLink(id);
  } catch (error) {
    if (!(error instanceof ControlError && error.code === "not_found")) throw error;
    return failed(io, `There is no link ${id}; \`runegate link list\` lists them.`);
  }
  io.out("The link is revoked.");
  return { data: { id } };
}

/** @throws {UsageError} */
export function addressIn(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw error instanceof AddressError ? new UsageError(error.message) : error;
  }
}
