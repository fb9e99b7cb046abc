import { type Contestant, contestant, type LoadSample, underLoad } from "../contestants.ts";
import { createLoadGenerator } from "../load.ts";
import { findCaddy, prepareCaddy } from "../rivals/caddy.ts";
import { startNginxProxy, startSmallApplication } from "../rivals/nginx.ts";
import { findOauth2Proxy, startOauth2Proxy } from "../rivals/oauth2-proxy.ts";
import { findRustRunegate, RUST_PATH, startRustRunegate } from "../rivals/runegate-rust.ts";
import { findTraefik, startTraefik } from "../rivals/traefik.ts";
import { type RunningGateway, startRunegate } from "../runegate.ts";
import { type Bench, inTurn, medianOf, medianRatio, type Report, type Section } from "../section.ts";
import { begin, freePort, type Stage } from "../stage.ts";

/** A signed-in user's request through what people put a login in front of an application with. */
export const peersSection: Section = {
  name: "peers",
  summary: "a small answer to a signed-in user, through Runegate and through others",
  atMostSeconds: ({ seconds, rounds }) => 90 + 8 * (WARM_UP_SECONDS + rounds * (seconds + 1)),
  run,
};

const WARM_UP_SECONDS = 2;

/** With more, it answers nobody within the seconds of a round. */
const FEW = 4;

const PLAIN = "nginx, no login";
const RUNEGATE = "Runegate";
const OAUTH2_PROXY = "oauth2-proxy";
const IN_RUST = "runegate 0.3.1 (Rust)";
const WITH_RUNEGATE = (edge: string) => `${edge} that asks Runegate`;
const WITH_OAUTH2_PROXY = (edge: string) => `${edge} that asks oauth2-proxy`;

/** Names of headers that edges tell the application. */
const TOLD = ["Remote-User", "Remote-Email", "Remote-Groups", "Remote-Name", "X-Runegate-Jwt", "Cookie"];
const TOLD_BY_OAUTH2_PROXY = ["X-Auth-Request-User", "X-Auth-Request-Email"];

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  const { rounds, seconds, connections } = effort;
  const generator = createLoadGenerator(stage);
  const contestants = await startContestants(bench);
  const load = (who: Contestant, length: number) =>
    underLoad(
      who,
      generator,
      who.name === IN_RUST
        ? { connections: FEW, seconds: length, path: RUST_PATH }
        : { connections, seconds: length },
    );
  for (const who of contestants) {
    say(`warming up ${who.name}`);
    await load(who, WARM_UP_SECONDS);
  }
  const samples = await inTurn(contestants, rounds, async (who, round) => {
    const sample = await load(who, seconds);
    const figures = `${sample.perSecond.toFixed(0)} requests/s, ${sample.cpu.toFixed(1)} µs`;
    say(`round ${round + 1} of ${rounds}: ${who.name}: ${figures}`);
    return sample;
  });
  const of = (name: string) => samples.get(name) ?? [];
  const cpu = (name: string) => medianOf(of(name), (sample) => sample.cpu);
  const ratio = (name: string, to: string) => medianRatio(of(name), of(to), (sample) => sample.cpu);
  const memory = (all: readonly LoadSample[]) => Math.max(...all.map(({ resident }) => resident));
  const others = [...samples.keys()].filter((name) => !name.includes(RUNEGATE) && name !== PLAIN);
  const note = samples.has(IN_RUST) ? [`${IN_RUST} had ${FEW} connections.`] : [];
  const missing = [
    ["oauth2-proxy", findOauth2Proxy()],
    ["Caddy", findCaddy()],
    ["Traefik", findTraefik()],
    [IN_RUST, findRustRunegate()],
  ].flatMap(([name, found]) => (found === undefined ? [`${name} is not installed here.`] : []));
  return {
    tables: [
      {
        columns: ["", "CPU µs/request", "ratio to nginx", "requests/s", "p50 ms", "p99 ms", "RSS MiB"],
        rows: [...samples].map(([name, all]) => [
          name,
          cpu(name).toFixed(1),
          ratio(name, PLAIN).toFixed(2),
          medianOf(all, ({ perSecond }) => perSecond).toFixed(0),
          medianOf(all, ({ p50 }) => p50).toFixed(2),
          medianOf(all, ({ p99 }) => p99).toFixed(2),
          memory(all).toFixed(0),
        ]),
      },
    ],
    targets: others.map((name) => ({
      wanted: `Runegate: less CPU per request than ${name}`,
      got: `${ratio(RUNEGATE, name).toFixed(2)} times`,
      met: ratio(RUNEGATE, name) < 1,
    })),
    notes: [`${connections} connections, load by ${generator.name}.`, ...note, ...missing],
    figures: { rounds: Object.fromEntries(samples) },
    chart: {
      title: "Processor time for a request of somebody who is signed in, in µs",
      file: "static/readme-peers.svg",
      // A bar a hundred times as long as the others would hide them.
      bars: [...samples]
        .filter(([name]) => name !== IN_RUST)
        .map(([name, all]) => ({
          ...{ name, value: cpu(name), memory: memory(all), ours: name === RUNEGATE },
        })),
    },
  };
}

async function startContestants({ stage, executable }: Bench): Promise<Contestant[]> {
  const { port: upstreamPort } = await startSmallApplication(stage);
  const command = [executable()];
  const runegate = await startRunegate(stage, { name: "runegate", command, upstreamPort });
  const asked = (name: string, port: number) =>
    startRunegate(stage, {
      ...{ name, command, upstreamPort },
      // The edge writes a line for each request already.
      options: { RUNEGATE_BASE_URL: `http://127.0.0.1:${port}`, RUNEGATE_REQUEST_LOGS: "false" },
    });
  const nginx = await startNginxProxy(stage, { name: "nginx", upstreamPort });
  const contestants = [
    contestant(PLAIN, runegate.cookie, nginx),
    contestant(RUNEGATE, runegate.cookie, runegate),
  ];
  contestants.push(await nginxAsks(stage, upstreamPort, asked));
  const [caddy, traefik, oauth2Proxy] = [findCaddy(), findTraefik(), findOauth2Proxy()];
  if (caddy !== undefined) contestants.push(await caddyAsks(stage, caddy, upstreamPort, asked));
  if (traefik !== undefined) {
    const port = freePort();
    const gateway = await asked("for-traefik", port);
    const question = { address: `http://127.0.0.1:${gateway.port}/_runegate/check/traefik`, told: TOLD };
    const edge = await startTraefik(stage, traefik, { port, upstreamPort, question });
    contestants.push(contestant(WITH_RUNEGATE("Traefik"), gateway.cookie, edge, gateway));
  }
  if (oauth2Proxy !== undefined) {
    const upstream = `http://127.0.0.1:${upstreamPort}`;
    const inline = await startOauth2Proxy(stage, oauth2Proxy, { name: "oauth2-proxy-inline", upstream });
    contestants.push(contestant(OAUTH2_PROXY, inline.cookie, inline));
    const checking = await startOauth2Proxy(stage, oauth2Proxy);
    const edge = await startNginxProxy(stage, {
      ...{ name: "nginx-oauth2-proxy", upstreamPort, authenticatorPort: checking.port },
      question: { path: "/oauth2/auth", lines: [], told: toldBy(TOLD_BY_OAUTH2_PROXY) },
    });
    contestants.push(contestant(WITH_OAUTH2_PROXY("nginx"), checking.cookie, edge, checking));
  }
  const rust = findRustRunegate();
  if (rust !== undefined) {
    const proxy = await startRustRunegate(stage, rust, upstreamPort);
    contestants.push(contestant(IN_RUST, proxy.cookie, proxy));
  }
  return contestants;
}

type Asked = (name: string, port: number) => Promise<RunningGateway>;

async function nginxAsks(stage: Stage, upstreamPort: number, asked: Asked): Promise<Contestant> {
  const port = freePort();
  const gateway = await asked("for-nginx", port);
  const edge = await startNginxProxy(stage, {
    ...{ name: "nginx-runegate", port, upstreamPort, authenticatorPort: gateway.port },
    question: {
      path: "/_runegate/check/nginx",
      lines: [
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "proxy_set_header X-Original-URL $scheme://$http_host$request_uri;",
        "proxy_set_header X-Original-Method $request_method;",
      ],
      told: toldBy(TOLD),
    },
  });
  return contestant(WITH_RUNEGATE("nginx"), gateway.cookie, edge, gateway);
}

async function caddyAsks(
  stage: Stage,
  caddy: string,
  upstreamPort: number,
  asked: Asked,
): Promise<Contestant> {
  const port = freePort();
  const gateway = await asked("for-caddy", port);
  const edge = await begin(
    stage,
    prepareCaddy(stage, caddy, port, `http://127.0.0.1:${port}`, [
      `forward_auth 127.0.0.1:${gateway.port} {
        uri /_runegate/check/caddy
        copy_headers ${TOLD.join(" ")}
      }`,
      `reverse_proxy 127.0.0.1:${upstreamPort}`,
    ]),
  );
  return contestant(WITH_RUNEGATE("Caddy"), gateway.cookie, edge, gateway);
}

/** For nginx: a header, and the variable that has it. */
function toldBy(names: readonly string[]): (readonly [string, string])[] {
  return names.map((name) => [name, `$upstream_http_${name.toLowerCase().replaceAll("-", "_")}`]);
}
