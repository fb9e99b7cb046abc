import { parseArgs } from "node:util";
import { createPolicy } from "../access/policy.ts";
import { loadOptions } from "../config/load.ts";
import { ControlError, connectControl } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import { type Address, AddressError, parseAddress } from "../identity/address.ts";
import { type Command, UsageError } from "./command.ts";

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

  async run(args, io) {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
    const [name, ...more] = positionals;
    if (name === undefined || more.length > 0) throw new UsageError("link takes one address.");
    let address: Address;
    try {
      address = parseAddress(name);
    } catch (error) {
      if (error instanceof AddressError) throw new UsageError(error.message);
      throw error;
    }
    const { options } = loadOptions(io);
    if (!createPolicy(options).allows(address)) {
      io.err(`${address} may not sign in: add it to RUNEGATE_ALLOWED_EMAILS or its domain to`);
      io.err("RUNEGATE_ALLOWED_DOMAINS, and restart Runegate.");
      return EXIT.failed;
    }
    if (options.controlSocket === undefined) {
      io.err("RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be asked.");
      return EXIT.failed;
    }
    try {
      io.out(await connectControl(options.controlSocket).link(address));
      return EXIT.done;
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      io.err(error.message);
      return EXIT.failed;
    }
  },
};
