import { raiseFetchCeiling } from "../proxy/ceiling.ts";
import { type Sample, startSample } from "../sample/app.ts";
import { type Command, EXIT, UsageError } from "./command.ts";
import { runGateway } from "./run-gateway.ts";

/** `runegate demo`: everything at once, with nothing to configure. */
export const demo: Command = {
  name: "demo",
  summary: "run the gateway with a sample application and a mailbox",
  help: `Usage: runegate demo

Runs the real gateway on 127.0.0.1:7870 in front of a sample application on
127.0.0.1:7860, for anybody to look at on this machine. Mail is not sent: it
appears in this terminal and at /_runegate/mailbox. Nothing is configured and
nothing is kept. Ctrl-C ends it.

RUNEGATE_LISTEN and RUNEGATE_TARGET_SERVICE choose other ports.`,

  async run(args, io) {
    if (args.length > 0) throw new UsageError("demo takes no arguments.");
    raiseFetchCeiling(io.env);
    const listen = io.env.RUNEGATE_LISTEN ?? "127.0.0.1:7870";
    const target = io.env.RUNEGATE_TARGET_SERVICE ?? "http://127.0.0.1:7860";
    const port = /:(\d+)$/.exec(listen)?.[1];
    const targetUrl = URL.parse(target);
    if (port === undefined || targetUrl === null || targetUrl.port === "") {
      throw new UsageError("demo needs RUNEGATE_LISTEN and RUNEGATE_TARGET_SERVICE with a port, or neither.");
    }
    let sample: Sample | undefined;
    // A reload by `bun --hot` finds the sample application running.
    if (globalThis.runegateRunning === undefined) {
      try {
        sample = startSample({ hostname: targetUrl.hostname, port: Number(targetUrl.port) });
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : String(error);
        io.err(`The sample application cannot listen on port ${targetUrl.port}: ${code}.`);
        io.err("Stop what uses the port, or choose another, such as:");
        io.err("  RUNEGATE_TARGET_SERVICE=http://127.0.0.1:7960 runegate demo");
        return EXIT.failed;
      }
    }
    const code = await runGateway(
      {
        ...io,
        env: {
          ...io.env,
          RUNEGATE_ENV: "development",
          RUNEGATE_ENV_FILE: "/dev/null",
          RUNEGATE_LISTEN: listen,
          RUNEGATE_TARGET_SERVICE: target,
          RUNEGATE_BASE_URL: io.env.RUNEGATE_BASE_URL ?? `http://localhost:${port}`,
          RUNEGATE_ALLOW_ANY_EMAIL: "true",
        },
      },
      { greet: (url) => io.out(greeting(url, target)) },
    );
    await sample?.stop();
    return code;
  },
};

function greeting(url: string, target: string): string {
  return `
  Runegate is running in front of a sample application.

    1. Open      ${url}
       and sign in with any address, such as you@example.org
    2. The mail  ${url}/_runegate/mailbox
       has the link and the code; they also appear here

  The application itself is at ${target}: only here, where nothing is at stake,
  can it be reached without signing in. Ctrl-C ends both.
`;
}
