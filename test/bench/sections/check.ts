import { connectControl } from "../../../src/control/client.ts";
import { type Contestant, contestant, startAuthenticator, underLoad } from "../contestants.ts";
import { createLoadGenerator } from "../load.ts";
import { prepareNginx, startNginxProxy, startSmallApplication } from "../rivals/nginx.ts";
import { findOauth2Proxy, startOauth2Proxy } from "../rivals/oauth2-proxy.ts";
import { findRvfa, startRvfa } from "../rivals/rvfa.ts";
import { DOMAIN, type RunningGateway, startRunegate } from "../runegate.ts";
import { type Bench, inTurn, medianOf, medianRatio, type Report, type Section } from "../section.ts";
import { begin } from "../stage.ts";

/** What it costs an edge to ask whether a signed-in user's request may pass. */
export const checkSection: Section = {
  name: "check",
  summary: "what an edge asks before each request, by itself and with nginx",
  atMostSeconds: ({ seconds, rounds }) => 90 + 11 * (WARM_UP_SECONDS + rounds * (seconds + 1)),
  run,
};

const WARM_UP_SECONDS = 2;
/** CPU microseconds of a check in a process of its own. */
const MOST = 10;
/** Of plain nginx's CPU, nginx and the check together. */
const MOST_WITH_NGINX = 2.3;
/** Of a check with a session. */
const MOST_WITH_KEY = 1.3;
/** Of what rusty-valkey-forward-auth and its Valkey take for one. */
const MOST_OF_RVFA = 0.5;

const RUNEGATE = "Runegate";
const COMPILED = "Runegate, compiled";
const LOGGED = `${COMPILED}, with the request log`;
const BROWSER = `${COMPILED}, with a browser's headers`;
const KEYED = `${COMPILED}, with an API key`;
const SAME_CHECK = `${COMPILED}, with an API key at \`/forward-auth\``;
const RVFA = "rusty-valkey-forward-auth and its Valkey";
const PLAIN = "nginx, plain proxy";
const WITH_CHECK = "nginx + Runegate, compiled";
const WITH_NOTHING = "nginx + the least that can be asked";

/** What edges ask, and how: the headers beside those of the visitor. */
type Asked = { readonly who: Contestant; readonly path: string; readonly headers: readonly string[] };

/** A browser's. */
const VISITOR = [
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.5",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: same-origin",
];

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  const { rounds, seconds, connections } = effort;
  const generator = createLoadGenerator(stage);
  const contestants = (await startContestants(bench)).map((one) => ({ ...one, name: one.who.name }));
  const load = ({ who, path, headers }: Asked, length: number) =>
    underLoad(who, generator, { connections, seconds: length, path, headers });
  for (const one of contestants) {
    say(`warming up ${one.name}`);
    await load(one, WARM_UP_SECONDS);
  }
  const samples = await inTurn(contestants, rounds, async (one, round) => {
    const sample = await load(one, seconds);
    const figures = `${sample.perSecond.toFixed(0)} requests/s, ${sample.cpu.toFixed(1)} µs`;
    say(`round ${round + 1} of ${rounds}: ${one.name}: ${figures}`);
    return sample;
  });
  const of = (name: string) => samples.get(name) ?? [];
  const cpu = (name: string) => medianOf(of(name), (sample) => sample.cpu);
  const ratio = (name: string, to = PLAIN) => medianRatio(of(name), of(to), (sample) => sample.cpu);
  return {
    tables: [
      {
        columns: ["", "CPU µs/request", "ratio to plain nginx", "requests/s", "p50 ms", "p99 ms"],
        rows: [...samples].map(([name, all]) => [
          name,
          cpu(name).toFixed(1),
          ratio(name).toFixed(2),
          medianOf(all, ({ perSecond }) => perSecond).toFixed(0),
          medianOf(all, ({ p50 }) => p50).toFixed(2),
          medianOf(all, ({ p99 }) => p99).toFixed(2),
        ]),
      },
    ],
    targets: [
      ...[RUNEGATE, COMPILED].map((name) => ({
        wanted: `${name}: at most ${MOST} µs of CPU for a check`,
        got: cpu(name).toFixed(1),
        met: cpu(name) <= MOST,
      })),
      {
        wanted: `nginx and the check together: at most ${MOST_WITH_NGINX} times plain nginx's CPU`,
        got: ratio(WITH_CHECK).toFixed(2),
        met: ratio(WITH_CHECK) <= MOST_WITH_NGINX,
      },
      {
        wanted: `with an API key: at most ${MOST_WITH_KEY} times the CPU of a check with a session`,
        got: ratio(KEYED, COMPILED).toFixed(2),
        met: ratio(KEYED, COMPILED) <= MOST_WITH_KEY,
      },
      ...(samples.has(RVFA) ? [KEYED, SAME_CHECK] : []).map((name) => ({
        wanted: `${name}: less than ${MOST_OF_RVFA} times the CPU of ${RVFA}`,
        got: ratio(name, RVFA).toFixed(2),
        met: ratio(name, RVFA) < MOST_OF_RVFA,
      })),
    ],
    notes: [
      `${connections} connections, load by ${generator.name}.`,
      ...(findOauth2Proxy() === undefined ? ["oauth2-proxy is not installed here."] : []),
      ...(samples.has(RVFA) ? [] : ["rusty-valkey-forward-auth, or a Valkey for it, is not installed here."]),
    ],
    figures: { rounds: Object.fromEntries(samples) },
  };
}

async function startContestants({ stage, executable }: Bench): Promise<Asked[]> {
  const { port: upstreamPort } = await startSmallApplication(stage);
  // As production has it, where nobody asks for a line a request.
  const options = { RUNEGATE_REQUEST_LOGS: "false", RUNEGATE_API_KEYS: "true" };
  const like = { ...options, RUNEGATE_TOKEN_ROOT_PATHS: "true" };
  const command = [executable()];
  const source = await startRunegate(stage, { name: "runegate", upstreamPort, options });
  const compiled = await startRunegate(stage, { name: "compiled", command, upstreamPort, options });
  const same = await startRunegate(stage, { name: "same", command, upstreamPort, options: like });
  const logged = await startRunegate(stage, { name: "logged", command, upstreamPort });
  const { cookie } = source;
  const keyFor = async ({ control }: RunningGateway) =>
    `Authorization: Bearer ${(await connectControl(control).createToken(`ada@${DOMAIN}`, {})).token}`;
  const nothing = await begin(
    stage,
    prepareNginx(stage, "nothing", { server: "location / { return 204; }" }),
  );
  const authenticator = await startAuthenticator(stage);
  const plain = await startNginxProxy(stage, { name: "nginx", upstreamPort });
  const withCheck = await startNginxProxy(stage, {
    ...{ name: "nginx-check", upstreamPort, authenticatorPort: compiled.port },
    question: questionFor(compiled),
  });
  const withNothing = await startNginxProxy(stage, {
    ...{ name: "nginx-nothing", upstreamPort, authenticatorPort: authenticator.port },
  });
  const check = (name: string, gateway: RunningGateway, visitor: readonly string[] = []): Asked => ({
    who: contestant(name, gateway.cookie, gateway),
    path: "/_runegate/check/nginx",
    headers: [...visitor, ...originalOf(gateway)],
  });
  const visit = (who: Contestant, path = "/"): Asked => ({ who, path, headers: [] });
  const found = findOauth2Proxy();
  const foundRvfa = findRvfa();
  const rvfa = foundRvfa === undefined ? undefined : await startRvfa(stage, foundRvfa);
  const rival = found === undefined ? undefined : await startOauth2Proxy(stage, found);
  return [
    visit(contestant("nginx, answering 204", cookie, nothing)),
    visit(contestant("`Bun.serve`, answering 204", cookie, authenticator)),
    check(RUNEGATE, source),
    check(COMPILED, compiled),
    check(LOGGED, logged),
    check(BROWSER, compiled, VISITOR),
    {
      ...check(KEYED, compiled, [await keyFor(compiled)]),
      who: contestant(KEYED, "a=b", compiled),
    },
    {
      ...{ who: contestant(SAME_CHECK, "a=b", same), path: "/forward-auth" },
      headers: [await keyFor(same), ...asTraefik(same)],
    },
    ...(rvfa === undefined
      ? []
      : [
          {
            ...{ who: contestant(RVFA, "a=b", rvfa, rvfa.valkey), path: "/forward-auth" },
            headers: [`Authorization: Bearer ${rvfa.token}`, ...asTraefik(same)],
          },
        ]),
    ...(rival === undefined ? [] : [visit(contestant("oauth2-proxy", rival.cookie, rival), "/oauth2/auth")]),
    visit(contestant(PLAIN, cookie, plain)),
    visit(contestant(WITH_NOTHING, cookie, withNothing, authenticator)),
    visit(contestant(WITH_CHECK, compiled.cookie, withCheck, compiled)),
  ];
}

const originOf = ({ port }: RunningGateway) => `http://127.0.0.1:${port}`;

/** As Traefik's `forwardAuth` asks. */
function asTraefik({ port }: RunningGateway): string[] {
  return [
    ...["X-Forwarded-Method: GET", "X-Forwarded-Proto: http", `X-Forwarded-Host: 127.0.0.1:${port}`],
    ...["X-Forwarded-Uri: /page?a=1", "X-Forwarded-For: 203.0.113.9"],
  ];
}

function originalOf(gateway: RunningGateway): string[] {
  return [
    `X-Original-URL: ${originOf(gateway)}/page?a=1`,
    "X-Original-Method: GET",
    "X-Forwarded-For: 203.0.113.9",
  ];
}

/** As the guide has nginx ask. */
function questionFor(gateway: RunningGateway) {
  const lines = [
    "proxy_set_header X-Forwarded-For $remote_addr;",
    `proxy_set_header X-Original-URL ${originOf(gateway)}$request_uri;`,
    "proxy_set_header X-Original-Method $request_method;",
    "proxy_buffer_size 32k;",
    "proxy_buffers 4 32k;",
  ];
  const names = [
    "remote_user",
    "remote_email",
    "remote_groups",
    "remote_name",
    "x_runegate_jwt",
    "cookie",
    "authorization",
  ];
  return {
    path: "/_runegate/check/nginx",
    lines,
    told: names.map((name): [string, string] => [
      name === "cookie" || name === "authorization" ? name : name.replaceAll("_", "-"),
      `$upstream_http_${name}`,
    ]),
  };
}
