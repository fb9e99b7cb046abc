import { type Environment, SYSTEM } from "../config/surroundings.ts";
import { EXIT } from "../exit.ts";
import { describeTarget, targetAddress } from "../net/endpoint.ts";
import { flagOf } from "../option/option.ts";
import { ValueError } from "../option/value-error.ts";
import { claimAddress } from "../process/listener.ts";
import { raiseFetchCeiling } from "../proxy/ceiling.ts";
import { type Sample, startSample } from "../sample/app.ts";
import { type Command, UsageError } from "./command.ts";
import { probeTarget } from "./probe-target.ts";
import { runGateway } from "./run-gateway.ts";

const HERE = "127.0.0.1";
const GATEWAY_PORT = 7870;
const SAMPLE_PORT = 7860;

/** `runegate demo`: everything at once, with nothing to configure. */
export const demo: Command = {
  name: "demo",
  summary: "run the gateway in front of a sample application, or of yours, with a mailbox",
  help: `Usage: runegate demo [--target URL] [--OPTION VALUE]...

Shows the gateway at work in front of a sample application or of your own, with
nothing to configure. Any address may sign in. Mail is not sent: it appears in
this terminal and at /_runegate/mailbox. Nothing is kept. Ctrl-C ends it all.

  --target URL    your application, in place of the sample one:
                  http://127.0.0.1:8501, or :8501, or 8501

It is for this machine alone: no other one reaches it. On a machine that you use
by SSH, forward the port, and open the page on your own:
  ssh -L ${GATEWAY_PORT}:127.0.0.1:${GATEWAY_PORT} you@server

The gateway listens on port ${GATEWAY_PORT} and the sample application on ${SAMPLE_PORT}, or each on
the next one that is free. --listen :8000 chooses the gateway's; --request-logs
shows each request.

Example: runegate demo --target 8501
In a clone, with npm: npm run demo -- --target 8501`,

  readsOptions: true,
  service: true,

  async run(_, io) {
    const { RUNEGATE_LISTEN: listen, RUNEGATE_TARGET_SERVICE: target, ...flags } = io.flags ?? {};
    const fixed = Object.keys(FIXED).find((name) => name in flags);
    if (fixed !== undefined) throw new UsageError(`${flagOf(fixed)} is what the demonstration sets itself.`);
    const chosen = listen ?? io.env.RUNEGATE_LISTEN;
    const own = parseApplication(target ?? io.env.RUNEGATE_TARGET_SERVICE ?? "");
    raiseFetchCeiling(io.env);
    // A reload by `bun --hot` finds it set up.
    globalThis.runegateDemo ??= await setUp(chosen ?? "", own);
    const stage = globalThis.runegateDemo;
    const { ok, lines } = await probeTarget(targetAddress(stage.target), 2_000);
    const code = await runGateway(
      {
        ...io,
        flags,
        env: {
          RUNEGATE_BASE_URL: `http://localhost:${stage.port}`,
          // The mailbox asks again and again whether there is mail.
          RUNEGATE_REQUEST_LOGS: "false",
          ...io.env,
          ...FIXED,
          RUNEGATE_LISTEN: stage.listen,
          RUNEGATE_TARGET_SERVICE: stage.target,
        },
      },
      {
        // What else this machine has of Runegate's is none of its business.
        surroundings: { ...SYSTEM, envFiles: [], emailConfigs: [], serviceCredentials: "/nonexistent" },
        greet: (url) =>
          io.out(greeting(url, stage, ok ? "" : `${lines[0]} Start it, and reload the page.`, io.env)),
      },
    );
    await stage.sample?.stop();
    if (code === EXIT.failed && chosen)
      io.err("Leave RUNEGATE_LISTEN or --listen out, and the demo takes a port that is free.");
    return code;
  },
};

/** Nobody is mailed, and everybody may. */
const FIXED = {
  RUNEGATE_ENV: "development",
  RUNEGATE_ENV_FILE: "",
  RUNEGATE_EMAIL_CONFIG: "",
  RUNEGATE_ALLOW_ANY_EMAIL: "true",
};

type Stage = {
  /** As the options take them. */
  readonly listen: string;
  readonly target: string;
  readonly port: number;
  /** Whether the port is the one that was asked for. */
  readonly wanted: boolean;
  /** Undefined in front of somebody's own application. */
  readonly sample: Sample | undefined;
};

declare global {
  /** Set while the demo runs: `var` is the only declaration that names a property of `globalThis`. */
  var runegateDemo: Stage | undefined;
}

/** In full, so that it can be shown; nothing is none. */
function parseApplication(text: string): string {
  if (text === "") return "";
  try {
    return describeTarget(targetAddress(text));
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new UsageError(`--target ${error.problem}. Write http://127.0.0.1:8501, :8501 or 8501.`);
  }
}

/** Finds the ports, and starts the sample application where there is no other one. */
async function setUp(chosen: string, own: string): Promise<Stage> {
  const digits = chosen === "" ? undefined : /(?:^|:)([1-9][0-9]*)$/.exec(chosen)?.[1];
  if (chosen !== "" && digits === undefined)
    throw new UsageError("--listen must end in a port here, such as 127.0.0.1:8000.");
  const sample =
    own === ""
      ? await atFreePort(SAMPLE_PORT, async (port) => startSample({ hostname: HERE, port }))
      : undefined;
  const port = digits === undefined ? await atFreePort(GATEWAY_PORT, claim) : Number(digits);
  return {
    listen: chosen || `${HERE}:${port}`,
    target: sample?.url ?? own,
    port,
    sample,
    wanted: chosen !== "",
  };
}

/** Opens something at a port, or at the next one that is free. */
async function atFreePort<T>(first: number, open: (port: number) => Promise<T>): Promise<T> {
  for (let port = first; ; port++) {
    try {
      return await open(port);
    } catch (error) {
      if (!isInUse(error)) throw error;
    }
  }
}

async function claim(port: number): Promise<number> {
  await claimAddress({ kind: "tcp", hostname: HERE, port });
  try {
    // Browsers try this one first for `localhost`, and would find whatever else listens there.
    await claimAddress({ kind: "tcp", hostname: "::1", port });
  } catch (error) {
    // A machine without IPv6 has nobody there.
    if (isInUse(error)) throw error;
  }
  return port;
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}

/** @param silence what to do where the application does not answer. */
function greeting(
  url: string,
  { port, target, sample, wanted }: Stage,
  silence: string,
  env: Environment,
): string {
  // Somebody who has no executable, and perhaps no Bun, has npm.
  const command = env.npm_lifecycle_event === "demo" ? "npm run demo --" : "runegate demo";
  const paragraphs = [
    `Runegate is running in front of ${sample === undefined ? target : "a sample application"}.`,
    `  1. Open      ${url}
     and sign in with any address, such as you@example.org
  2. The mail  ${url}/_runegate/mailbox
     has the link and the code; they also appear here`,
    port === GATEWAY_PORT || wanted ? "" : `Port ${GATEWAY_PORT} is in use, so it is ${port}.`,
    silence,
    bySsh(port, env),
    ...(sample === undefined
      ? ["Ctrl-C ends it."]
      : [
          `In front of your own application: ${command} --target http://127.0.0.1:8501`,
          `The application itself is at ${target}: only here, where nothing is at stake,
can it be reached without signing in. Ctrl-C ends both.`,
        ]),
  ];
  const text = paragraphs.filter((paragraph) => paragraph !== "").join("\n\n");
  return `\n${text.replaceAll(/^(?=.)/gm, "  ")}\n`;
}

/** How somebody who came to this machine by SSH gets to see the page, which is for this machine alone. */
function bySsh(port: number, { SSH_CONNECTION = "", USER = "you" }: Environment): string {
  // sshd(8): "client port server port".
  const [, , server, sshPort = "22"] = SSH_CONNECTION.split(" ");
  if (server === undefined) return "";
  return `You are here by SSH, and these addresses are for this machine alone. On your own, run
  ssh -p ${sshPort} -L ${port}:${HERE}:${port} ${USER}@${server}
and open them there.`;
}
