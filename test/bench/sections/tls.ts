import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificate } from "../../support/certificate.ts";
import { type Contestant, contestant, type LoadSample, underLoad } from "../contestants.ts";
import { createH2Load, createLoadGenerator, type LoadGenerator } from "../load.ts";
import { findCaddy, prepareCaddy } from "../rivals/caddy.ts";
import { prepareNginx, startSmallApplication } from "../rivals/nginx.ts";
import { startRunegate } from "../runegate.ts";
import { type Bench, inTurn, medianOf, medianRatio, type Report, type Section } from "../section.ts";
import { begin, freePort } from "../stage.ts";

/** What TLS costs a signed-in user's request: by Runegate itself, and by a proxy in front of it. */
export const tlsSection: Section = {
  name: "tls",
  summary: "a small answer to a signed-in user over TLS, with and without a proxy in front",
  atMostSeconds: ({ seconds, rounds }) => 90 + 6 * (WARM_UP_SECONDS + rounds * (seconds + 1)),
  run,
};

const WARM_UP_SECONDS = 2;
/** Of the CPU that nginx in front and Runegate behind it take. */
const MOST = 0.65;

const ALONE = "Runegate, compiled, alone";
const ALONE_H2 = `${ALONE}, HTTP/2`;
const NGINX = "nginx in front of it";
const NGINX_H2 = `${NGINX}, HTTP/2`;
const CADDY = "Caddy that asks it (`forward_auth`)";
const PLAIN = "Runegate, compiled, without TLS";

type Asked = {
  readonly name: string;
  readonly who: Contestant;
  readonly generator: LoadGenerator;
  readonly scheme: "http" | "https";
};

async function run(bench: Bench): Promise<Report> {
  const { stage, effort, say } = bench;
  const { rounds, seconds, connections } = effort;
  const [http1, http2] = [createLoadGenerator(stage), createH2Load(stage)];
  const asked = await startContestants(bench, http1, http2);
  const load = ({ who, generator, scheme }: Asked, length: number): Promise<LoadSample> =>
    underLoad(who, generator, { connections, seconds: length, scheme });
  for (const one of asked) {
    say(`warming up ${one.name}`);
    await load(one, WARM_UP_SECONDS);
  }
  const samples = await inTurn(asked, rounds, async (one, round) => {
    const sample = await load(one, seconds);
    const figures = `${sample.perSecond.toFixed(0)} requests/s, ${sample.cpu.toFixed(1)} µs`;
    say(`round ${round + 1} of ${rounds}: ${one.name}: ${figures}`);
    return sample;
  });
  const of = (name: string) => samples.get(name) ?? [];
  const ratio = (name: string, to: string) => medianRatio(of(name), of(to), ({ cpu }) => cpu);
  const pairs = [
    [ALONE, NGINX],
    [ALONE_H2, NGINX_H2],
  ] as const;
  return {
    tables: [
      {
        columns: ["", "CPU µs/request", "ratio to nginx in front", "requests/s", "p50 ms", "p99 ms"],
        rows: [...samples].map(([name, all]) => [
          name,
          medianOf(all, ({ cpu }) => cpu).toFixed(1),
          ratio(name, NGINX).toFixed(2),
          medianOf(all, ({ perSecond }) => perSecond).toFixed(0),
          medianOf(all, ({ p50 }) => p50).toFixed(2),
          medianOf(all, ({ p99 }) => p99).toFixed(2),
        ]),
      },
    ],
    targets: pairs.map(([name, front]) => {
      const got = ratio(name, front);
      const isMeasured = Number.isFinite(got);
      return {
        wanted: `${name}: at most ${MOST} times the CPU of ${front}`,
        got: isMeasured ? got.toFixed(2) : "not measured",
        met: isMeasured ? got <= MOST : undefined,
      };
    }),
    notes: [
      `${connections} connections, load by ${http1.name}${http2 === undefined ? "" : ` and ${http2.name}`}; TLS 1.3, a key on P-256.`,
      ...(http2 === undefined ? ["h2load is not installed here (apt-get install nghttp2-client)."] : []),
      ...(findCaddy() === undefined ? ["Caddy is not installed here."] : []),
    ],
    figures: { rounds: Object.fromEntries(samples) },
  };
}

async function startContestants(
  { stage, executable }: Bench,
  http1: LoadGenerator,
  http2: LoadGenerator | undefined,
): Promise<Asked[]> {
  const { port: upstreamPort } = await startSmallApplication(stage);
  const { cert, key } = makeCertificate();
  const [certificate, secret] = [join(stage.directory, "tls.crt"), join(stage.directory, "tls.key")];
  writeFileSync(certificate, cert);
  writeFileSync(secret, key, { mode: 0o600 });
  const command = [executable()];
  const plain = await startRunegate(stage, { name: "plain", command, upstreamPort });
  const alone = await startRunegate(stage, {
    ...{ name: "alone", command, upstreamPort, scheme: "https" },
    options: {
      ...{ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: certificate, RUNEGATE_TLS_KEY: secret },
      RUNEGATE_HTTP_LISTEN: "off",
    },
  });
  const front = freePort();
  const behind = await startRunegate(stage, {
    ...{ name: "behind", command, upstreamPort },
    options: { RUNEGATE_BASE_URL: `https://127.0.0.1:${front}` },
  });
  const nginx = await begin(
    stage,
    prepareNginx(stage, "nginx-tls", {
      ...{ port: front, accessLog: true, tls: { certificate, key: secret } },
      http: `upstream runegate { server 127.0.0.1:${behind.port}; keepalive 64; keepalive_requests 1000000000; }`,
      server: `
        location / {
          proxy_pass http://runegate;
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-For $remote_addr;
          proxy_set_header X-Forwarded-Proto $scheme;
          proxy_set_header X-Forwarded-Host $http_host;
          add_header Strict-Transport-Security max-age=31536000 always;
          proxy_buffering off;
          proxy_request_buffering off;
        }`,
    }),
  );
  const byHttp1 = { generator: http1, scheme: "https" } as const;
  const byHttp2 = http2 === undefined ? undefined : ({ generator: http2, scheme: "https" } as const);
  const asked: Asked[] = [
    { ...byHttp1, scheme: "http", ...named(PLAIN, plain.cookie, plain) },
    { ...byHttp1, ...named(ALONE, alone.cookie, alone) },
    { ...byHttp1, ...named(NGINX, behind.cookie, nginx, behind) },
    ...(byHttp2 === undefined
      ? []
      : [
          { ...byHttp2, ...named(ALONE_H2, alone.cookie, alone) },
          { ...byHttp2, ...named(NGINX_H2, behind.cookie, nginx, behind) },
        ]),
  ];
  const caddy = findCaddy();
  if (caddy === undefined) return asked;
  const caddyPort = freePort();
  const checking = await startRunegate(stage, {
    ...{ name: "checking", command, upstreamPort },
    options: { RUNEGATE_BASE_URL: `https://127.0.0.1:${caddyPort}`, RUNEGATE_REQUEST_LOGS: "false" },
  });
  const proxy = await begin(
    stage,
    prepareCaddy(stage, caddy, caddyPort, `https://127.0.0.1:${caddyPort}`, [
      `tls ${certificate} ${secret}`,
      `forward_auth 127.0.0.1:${checking.port} {
        uri /_runegate/check/caddy
        copy_headers Remote-User Remote-Email Remote-Groups Remote-Name X-Runegate-Jwt Cookie
      }`,
      `reverse_proxy 127.0.0.1:${upstreamPort}`,
    ]),
  );
  return [...asked, { ...byHttp1, ...named(CADDY, checking.cookie, proxy, checking) }];
}

function named(...given: Parameters<typeof contestant>): Pick<Asked, "name" | "who"> {
  const who = contestant(...given);
  return { name: who.name, who };
}
