import { EXIT, type ExitCode } from "../exit.ts";
import { listenAddress } from "../net/endpoint.ts";
import { isLoopbackHost } from "../net/loopback.ts";
import { messageOf } from "../observe/message-of.ts";
import { ValueError } from "../option/value-error.ts";
import type { Io } from "../process/io.ts";
import { type Sample, startSample } from "../sample/app.ts";
import { type Command, failed, UsageError } from "./command.ts";

const DEFAULT_LISTEN = "127.0.0.1:7860";

const FLAGS = { listen: { type: "string" } } as const;

/** `runegate target`: the sample application without a gateway. */
export const target: Command<typeof FLAGS> = {
  name: "target",
  summary: "run the sample application alone",
  help: `Usage: runegate target [--listen ADDRESS:PORT]

Runs the sample application alone until SIGTERM or Ctrl-C, as something for a
gateway to stand in front of. It believes whatever identity headers it is sent,
so let nothing but the gateway reach it.

  --listen ADDRESS:PORT    where to listen (default ${DEFAULT_LISTEN}); with port
                           0 on any that is free

Example: runegate target --listen 127.0.0.1:8080`,

  flags: FLAGS,
  service: true,

  async run({ values }, io) {
    return await runUntilStopped(parseListen(values.listen ?? DEFAULT_LISTEN), io);
  },
};

type TcpAddress = { readonly hostname: string; readonly port: number };

/** @throws {UsageError} */
function parseListen(text: string): TcpAddress {
  try {
    const address = listenAddress(text);
    if (address.kind === "tcp") return address;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
  }
  throw new UsageError(
    `--listen ${JSON.stringify(text)} is not an IP address and a port, such as ${DEFAULT_LISTEN} or [::1]:7860.`,
  );
}

async function runUntilStopped(address: TcpAddress, io: Io): Promise<ExitCode> {
  let sample: Sample;
  try {
    sample = startSample(address);
  } catch (error) {
    return failed(
      io,
      `The sample application cannot listen on port ${address.port}: ${listenProblem(error)}`,
    );
  }
  const stopped = stopSignal();
  io.out(`The sample application is at ${sample.url}/ (Ctrl-C ends it).`);
  if (!isLoopbackHost(address.hostname)) {
    io.err("Other machines can reach it, and whoever reaches it can claim to be anybody.");
  }
  await stopped;
  await sample.stop();
  return EXIT.done;
}

function listenProblem(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return "it is in use. Stop what uses it, or choose another with --listen.";
  if (code === "EACCES") return "it needs more rights than this user has. Choose one from 1024 up.";
  return messageOf(error);
}

/** Resolves at the first SIGINT or SIGTERM. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const signals = ["SIGINT", "SIGTERM"] as const;
  const stop = () => {
    // A second one ends the process at once, as it does everywhere else.
    for (const signal of signals) process.off(signal, stop);
    resolve();
  };
  for (const signal of signals) process.on(signal, stop);
  return promise;
}
