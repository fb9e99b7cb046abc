import { raiseFetchCeiling } from "../proxy/ceiling.ts";
import { type Command, EXIT, UsageError } from "./command.ts";
import { runGateway } from "./run-gateway.ts";

/** `runegate serve`, and `runegate` alone. */
export const serve: Command = {
  name: "serve",
  summary: "run the gateway (the default)",
  help: `Usage: runegate [serve]

Runs the gateway with the configured options until SIGTERM or Ctrl-C, then
lets requests under way finish, at most 10 seconds.

\`runegate check\` says whether it would start; \`runegate config\` lists the
options and \`runegate demo\` shows it working without any.

Exit codes: ${EXIT.done} stopped, ${EXIT.failed} the address cannot be listened on, ${EXIT.config} the configuration
is wrong.`,

  async run(args, io) {
    if (args.length > 0) throw new UsageError("serve takes no arguments.");
    raiseFetchCeiling(io.env);
    return runGateway(io, {});
  },
};
