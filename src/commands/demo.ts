import { parseArgs } from "node:util";
import { listenAddress, targetAddress } from "../config/network-values.ts";
import { type Environment, SYSTEM } from "../config/surroundings.ts";
import { ValueError } from "../config/value-error.ts";
import { claimAddress } from "../process/instance.ts";
import { raiseFetchCeiling } from "../proxy/ceiling.ts";
import { type Sample, startSample } from "../sample/app.ts";
import { type Command, EXIT, UsageError } from "./command.ts";
import { probeTarget } from "./probe-target.ts";
import { runGateway } from "./run-gateway.ts";

const GATEWAY_PORT = 7870;
const SAMPLE_PORT = 7860;

/** `runegate demo`: everything at once, with nothing to configure. */
export const demo: Command = {
  name: "demo",
  summary: "run the gateway in front of a sample application, or of yours, with a mailbox",
  help: `Usage: runegate demo [--target URL]

Shows the gateway at work in front of a sample application or of your own, with
nothing to configure. Any address may sign in. Mail is not sent: it appears in
this terminal and at /_runegate/mailbox. Nothing is kept. Ctrl-C ends it all.

  --target URL    your application, in place of the sample one:
                  http://127.0.0.1:8501, or :8501, or 8501

It is for this machine alone: no other one reaches it. On a machine that you use
by SSH, forward the port, and open the page on your own:
  ssh -L ${GATEWAY_PORT}:127.0.0.1:${GATEWAY_PORT} you@server

The gateway listens on port ${GATEWAY_PORT} and the sample application on ${SAMPLE_PORT}, or each on
the next one that is free. RUNEGATE_LISTEN=127.0.0.1:8000 chooses the gateway's;
RUNEGATE_REQUEST_LOGS=true shows each request.

Example: runegate demo --target 8501
In a clone, with npm: npm run demo -- --target 8501`,

  async run(args, io) {
    const { values } = parseArgs({ args: [...args], options: { target: { type: "string" } } });
    const application = values.target ?? (io.env.RUNEGATE_TARGET_SERVICE || undefined);
    const own = application === undefined ? undefined : parseApplication(application);
    const chosen = io.env.RUNEGATE_LISTEN ? parseListen(io.env.RUNEGATE_LISTEN) : undefined;
    raiseFetchCeiling(io.env);
    try {
      // A reload by `bun --hot` finds it set up.
      globalThis.runegateDemo ??= setUp(chosen, own);
    } catch (error) {
      if (chosen === undefined || !isInUse(error)) throw error;
      io.err(
        `Port ${chosen.port} is in use. Stop what uses it, or leave RUNEGATE_LISTEN out: the demo then takes`,
      );
      io.err("one that is free.");
      return EXIT.failed;
    }
    const { listen, port, target, sample } = globalThis.runegateDemo;
    const probed = await probeTarget(targetAddress(target), 2_000);
    const silence = probed.ok ? undefined : probed.lines[0];
    const code = await runGateway(
      {
        ...io,
        env: {
          RUNEGATE_BASE_URL: `http://localhost:${port}`,
          // The mailbox asks again and again whether there is mail.
          RUNEGATE_REQUEST_LOGS: "false",
          ...io.env,
          RUNEGATE_ENV: "development",
          RUNEGATE_ENV_FILE: "",
          RUNEGATE_EMAIL_CONFIG: "",
          RUNEGATE_LISTEN: listen,
          RUNEGATE_TARGET_SERVICE: target,
          RUNEGATE_ALLOW_ANY_EMAIL: "true",
        },
      },
      {
        // What else this machine has of Runegate's is none of its business.
        surroundings: { ...SYSTEM, envFiles: [], emailConfigs: [], serviceCredentials: "/nonexistent" },
        greet: (url) =>
          io.out(greeting({ url, port, target, isSample: sample !== undefined, silence, env: io.env })),
      },
    );
    await sample?.stop();
    return code;
  },
};

type Place = { readonly hostname: string; readonly port: number };

type Stage = {
  /** As the options take them. */
  readonly listen: string;
  readonly target: string;
  readonly port: number;
  /** Undefined in front of somebody's own application. */
  readonly sample: Sample | undefined;
};

declare global {
  /** Set while the demo runs: `var` is the only declaration that names a property of `globalThis`. */
  var runegateDemo: Stage | undefined;
}

/**
 * Finds the ports, and starts the sample application where there is no other one.
 * @throws with `EADDRINUSE` if the chosen port is taken.
 */
function setUp(chosen: Place | undefined, own: string | undefined): Stage {
  if (chosen !== undefined) claimAddress({ kind: "tcp", ...chosen });
  const sample = own === undefined ? atFreePort(SAMPLE_PORT, startSampleAt) : undefined;
  const { hostname, port } = chosen ?? atFreePort(GATEWAY_PORT, claimOnBoth);
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return { listen: `${host}:${port}`, port, target: own ?? sample?.url ?? "", sample };
}

/** Opens something at a port, or at the next one that is free. */
function atFreePort<T>(first: number, open: (port: number) => T): T {
  for (let port = first; ; port++) {
    try {
      return open(port);
    } catch (error) {
      if (!isInUse(error)) throw error;
    }
  }
}

const startSampleAt = (port: number): Sample => startSample({ hostname: "127.0.0.1", port });

/** Browsers try ::1 first for `localhost`, and would find whatever else listens there. */
function claimOnBoth(port: number): Place {
  const [ours, other] = ["127.0.0.1", "::1"] as const;
  claimAddress({ kind: "tcp", hostname: ours, port });
  try {
    claimAddress({ kind: "tcp", hostname: other, port });
  } catch (error) {
    // A machine without IPv6 has nobody there.
    if (isInUse(error)) throw error;
  }
  return { hostname: ours, port };
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}

/** An application as `RUNEGATE_TARGET_SERVICE` takes it; a port alone is one of this machine. */
function parseApplication(text: string): string {
  const port = /^:?([0-9]+)$/.exec(text)?.[1];
  const origin =
    port !== undefined ? `http://localhost:${port}` : /^[^/]*:[0-9]+$/.test(text) ? `http://${text}` : text;
  try {
    const address = targetAddress(origin);
    return address.kind === "tcp" ? address.origin : origin;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new UsageError(`--target ${error.problem}. Write http://127.0.0.1:8501, :8501 or 8501.`);
  }
}

function parseListen(text: string): Place {
  try {
    const address = listenAddress(text);
    if (address.kind === "tcp" && address.port !== 0) return address;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
  }
  throw new UsageError("RUNEGATE_LISTEN must be an address and a port here, such as 127.0.0.1:8000.");
}

type Situation = {
  readonly url: string;
  readonly port: number;
  readonly target: string;
  readonly isSample: boolean;
  /** Why the application does not answer. */
  readonly silence: string | undefined;
  readonly env: Environment;
};

function greeting({ url, port, target, isSample, silence, env }: Situation): string {
  const moved = port !== GATEWAY_PORT && !env.RUNEGATE_LISTEN;
  const paragraphs = [
    `Runegate is running in front of ${isSample ? "a sample application" : target}.`,
    `  1. Open      ${url}
     and sign in with any address, such as you@example.org
  2. The mail  ${url}/_runegate/mailbox
     has the link and the code; they also appear here`,
    moved ? `Port ${GATEWAY_PORT} is in use, so it is ${port}.` : "",
    silence === undefined ? "" : `${silence} Start it, and reload the page.`,
    bySsh(port, env),
    isSample ? `In front of your own application: ${howCalled(env)} --target http://127.0.0.1:8501` : "",
    isSample
      ? `The application itself is at ${target}: only here, where nothing is at stake,
can it be reached without signing in. Ctrl-C ends both.`
      : "Ctrl-C ends it.",
  ];
  return `\n${paragraphs
    .filter(Boolean)
    .join("\n\n")
    .replaceAll(/^(?=.)/gm, "  ")}\n`;
}

/** How somebody who came to this machine by SSH gets to see the page, which is for this machine alone. */
function bySsh(port: number, { SSH_CONNECTION, USER = "you" }: Environment): string {
  // sshd(8): "client port server port".
  const [, , server, sshPort] = SSH_CONNECTION?.split(" ") ?? [];
  if (server === undefined) return "";
  const other = sshPort === undefined || sshPort === "22" ? "" : `-p ${sshPort} `;
  return `You are here by SSH, and these addresses are for this machine alone. On your own, run
  ssh ${other}-L ${port}:127.0.0.1:${port} ${USER}@${server}
and open them there.`;
}

/** The words that start the demo: npm's for somebody who has no executable, and perhaps no Bun. */
function howCalled(env: Environment): string {
  if (env.npm_lifecycle_event !== "demo") return "runegate demo";
  return env.npm_config_user_agent?.startsWith("bun/") ? "bun run demo" : "npm run demo --";
}
