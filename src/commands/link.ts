import { loadAccess } from "../config/configuration.ts";
import { policyOf } from "../config/routes.ts";
import { ControlError, connectControl } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { type Command, failed, UsageError } from "./command.ts";

/** `runegate link`: a way in for an operator whose mail does not work. */
export const link: Command = {
  name: "link",
  summary: "print a login link for an address",
  help: `Usage: runegate link ADDRESS

Asks the running instance for a login link and prints it, for when mail does
not work. The link is as good as the one in a mail: for one use, for as long
as RUNEGATE_MAGIC_LINK_EXPIRY says, only for an address that may sign in, and
it always asks for confirmation. Whoever has it can sign in as that address.

Exit codes: ${EXIT.done} done, ${EXIT.failed} no running instance, or the address may not sign in.

Example: runegate link ada@example.org`,

  readsOptions: true,
  takes: { least: 1, most: 1, what: "one address" },

  async run({ words: [name = ""] }, io) {
    const address = addressIn(name);
    const { options, routesFile } = loadAccess(io);
    if (!policyOf(options, routesFile).allows(address)) {
      const where =
        routesFile === undefined ? "" : ", or either to allow of a route in routes.toml or to a group there";
      const remedy = `add it to RUNEGATE_ALLOWED_EMAILS or its domain to\nRUNEGATE_ALLOWED_DOMAINS${where}, and reload Runegate.`;
      return failed(io, `${address} may not sign in: ${remedy}`);
    }
    if (options.controlSocket === undefined)
      return failed(io, "RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be asked.");
    try {
      const made = await connectControl(options.controlSocket).link(address);
      io.out(made);
      return { data: { link: made } };
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      return failed(io, error.message);
    }
  },
};

/** @throws {UsageError} */
export function addressIn(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw error instanceof AddressError ? new UsageError(error.message) : error;
  }
}
