import { parseArgs } from "node:util";
import { startSample } from "../sample/app.ts";
import { type Command, EXIT, type ExitCode, type Io, UsageError } from "./command.ts";

const DEFAULT_LISTEN = "127.0.0.1:7860";

const HELP = `Usage: runegate target [--listen ADDRESS:PORT]

Runs the sample application alone, until Ctrl-C or SIGTERM, as something for a gateway to stand in front of.
It believes whatever identity headers it is sent, so let nothing but the gateway reach it.

Options:
  --listen ADDRESS:PORT  where to listen (default ${DEFAULT_LISTEN}; [::1]:7860 for IPv6, port 0 for any free one)
  --help                 show this

Example:
  runegate target --listen 127.0.0.1:8080`;

/** `runegate target`: the sample application without a gateway. */
export const target: Command = {
  name: "target",
  summary: "run the sample application alone",
  help: HELP,
  async run(args, io) {
    const { listen, help } = options(args);
    if (help) {
      io.out(HELP);
      return EXIT.done;
    }
    return await runUntilStopped(parseListen(listen), io);
  },
};

function options(args: readonly string[]): { listen: string; help: boolean } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { listen: { type: "string", default: DEFAULT_LISTEN }, help: { type: "boolean", short: "h" } },
    });
    return { listen: values.listen, help: values.help === true };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

type Address = { readonly hostname: string; readonly port: number };

/** @throws {UsageError} for anything but `address:port`, an IPv6 address in brackets. */
function parseListen(text: string): Address {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+)):(\d{1,5})$/i.exec(text);
  const hostname = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (hostname === undefined || port > 65_535) {
    throw new UsageError(
      `--listen: ${JSON.stringify(text)} is not an address and a port, such as ${DEFAULT_LISTEN}.`,
    );
  }
  return { hostname, port };
}

async function runUntilStopped(address: Address, io: Io): Promise<ExitCode> {
  let sample: ReturnType<typeof startSample>;
  try {
    sample = startSample(address);
  } catch (error) {
    io.err(
      `The sample application cannot listen on ${address.hostname}:${address.port}: ${listenProblem(error)}`,
    );
    return EXIT.failed;
  }
  const stopped = stopSignal();
  io.out(`The sample application is at ${sample.url}/ (Ctrl-C stops it).`);
  if (!/^(?:localhost|127\.[\d.]+|::1)$/i.test(address.hostname)) {
    io.err("It can be reached from other machines, and anybody who reaches it can claim to be anybody.");
  }
  await stopped;
  await sample.stop();
  return EXIT.done;
}

function listenProblem(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return "the port is in use. Stop what uses it, or choose another with --listen.";
  if (code === "EACCES") return "that port needs more rights than this user has. Choose one from 1024 up.";
  return error instanceof Error ? error.message : String(error);
}

function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once("SIGINT", resolve);
  process.once("SIGTERM", resolve);
  return promise;
}
