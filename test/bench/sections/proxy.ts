import { residentMebibytes } from "../accounting.ts";
import {
  type Contestant,
  contestant,
  processesOf,
  startAuthenticator,
  startBareProxy,
  underLoad,
} from "../contestants.ts";
import { createLoadGenerator } from "../load.ts";
import { findCaddy, startCaddyProxy } from "../rivals/caddy.ts";
import { startNginxProxy, startSmallApplication } from "../rivals/nginx.ts";
import { startRunegate } from "../runegate.ts";
import {
  type Bench,
  inTurn,
  medianOf,
  medianRatio,
  type Report,
  type Section,
  type Target,
} from "../section.ts";

/** What a signed-in user's request costs on its way through. */
export const proxySection: Section = {
  name: "proxy",
  summary: "a small answer to a signed-in user, every feature on",
  atMostSeconds: ({ seconds, rounds }) => 60 + 6 * (WARM_UP_SECONDS + rounds * (seconds + 1)),
  run,
};

const WARM_UP_SECONDS = 2;
/** Of plain nginx's CPU. */
const MOST = 2.2;

const NGINX = "nginx";
const WITH_AUTH = "nginx + `auth_request`";
const RUNEGATE = "Runegate";
const COMPILED = "Runegate, compiled";

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  const { rounds, seconds, connections } = effort;
  const generator = createLoadGenerator(stage);
  const contestants = await startContestants(bench);
  const idle = new Map(contestants.map((who) => [who.name, residentMebibytes(processesOf(who))]));
  for (const who of contestants) {
    say(`warming up ${who.name}`);
    await underLoad(who, generator, { connections, seconds: WARM_UP_SECONDS });
  }
  const samples = await inTurn(contestants, rounds, async (who, round) => {
    const sample = await underLoad(who, generator, { connections, seconds });
    const figures = `${sample.perSecond.toFixed(0)} requests/s, ${sample.cpu.toFixed(1)} µs`;
    say(`round ${round + 1} of ${rounds}: ${who.name}: ${figures}`);
    return sample;
  });
  const of = (name: string) => samples.get(name) ?? [];
  const ratio = (name: string, to: string) => medianRatio(of(name), of(to), ({ cpu }) => cpu);

  return {
    tables: [
      {
        columns: [
          "",
          "CPU µs/request",
          "ratio to nginx",
          "requests/s",
          "p50 ms",
          "p99 ms",
          "RSS idle MiB",
          "RSS loaded MiB",
        ],
        rows: [...samples].map(([name, rounds]) => [
          name,
          medianOf(rounds, ({ cpu }) => cpu).toFixed(1),
          ratio(name, NGINX).toFixed(2),
          medianOf(rounds, ({ perSecond }) => perSecond).toFixed(0),
          medianOf(rounds, ({ p50 }) => p50).toFixed(2),
          medianOf(rounds, ({ p99 }) => p99).toFixed(2),
          (idle.get(name) ?? Number.NaN).toFixed(0),
          Math.max(...rounds.map(({ resident }) => resident)).toFixed(0),
        ]),
      },
    ],
    targets: [RUNEGATE, COMPILED].flatMap((name) => targets(name, ratio)),
    notes: [
      `${connections} connections, load by ${generator.name}.`,
      ...(findCaddy() === undefined ? ["Caddy is not installed here."] : []),
    ],
    figures: { idle: Object.fromEntries(idle), rounds: Object.fromEntries(samples) },
  };
}

function targets(name: string, ratio: (name: string, to: string) => number): Target[] {
  const toPlain = ratio(name, NGINX);
  const toAuth = ratio(name, WITH_AUTH);
  return [
    {
      wanted: `${name}: at most ${MOST} times plain nginx's CPU per request`,
      got: toPlain.toFixed(2),
      met: toPlain <= MOST,
    },
    {
      wanted: `${name}: less CPU per request than nginx with \`auth_request\`, its authenticator included`,
      got: `${toAuth.toFixed(2)} times`,
      met: toAuth < 1,
    },
  ];
}

async function startContestants({ stage, executable }: Bench): Promise<Contestant[]> {
  const upstream = await startSmallApplication(stage);
  const upstreamPort = upstream.port;
  const source = await startRunegate(stage, { name: "runegate", upstreamPort });
  const compiled = await startRunegate(stage, { name: "compiled", command: [executable()], upstreamPort });
  // The same cookie for everybody, so that all read requests of the same size.
  const { cookie } = source;
  const nginx = await startNginxProxy(stage, { name: "nginx", upstreamPort });
  const authenticator = await startAuthenticator(stage);
  const withAuth = await startNginxProxy(stage, {
    name: "nginx-auth",
    upstreamPort,
    authenticatorPort: authenticator.port,
  });
  const caddy = findCaddy();
  const bare = await startBareProxy(stage, upstreamPort);
  return [
    contestant(NGINX, cookie, nginx),
    contestant(WITH_AUTH, cookie, withAuth, authenticator),
    ...(caddy === undefined
      ? []
      : [contestant("Caddy", cookie, await startCaddyProxy(stage, caddy, upstreamPort))]),
    contestant(RUNEGATE, cookie, source),
    contestant(COMPILED, compiled.cookie, compiled),
    contestant("`Bun.serve` + `fetch`, bare", cookie, bare),
  ];
}
