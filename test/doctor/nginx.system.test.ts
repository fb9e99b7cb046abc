import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finding } from "../../src/doctor/finding.ts";
import { listening } from "../forward-auth/real-edges.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { freePort, startProcess } from "../support/process.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { type Configure, configureCaddy, configureNginx } from "./edges.ts";
import { examine, operatorOf, those } from "./support.ts";

/** An operator looks at a real edge: set up well, and in each way that it is set up badly. */

type Fault = {
  readonly what: string;
  /** What stands in the good configuration, and what in its place. */
  readonly change: readonly (readonly [string, string])[];
  readonly env?: Readonly<Record<string, string>>;
  /** What is found to be wrong, all of it. */
  readonly found: readonly string[];
  /** In the remedy of the first of them. */
  readonly remedy: string;
};

const SET_URL = "proxy_set_header X-Original-URL $scheme://$host$request_uri;";
const CHALLENGE = "error_page 401 403 = /_runegate/challenge;";
const FORWARDED_FOR = "proxy_set_header X-Forwarded-For $remote_addr;";
const ASKED = `auth_request /_runegate/check/nginx;
          ${CHALLENGE}`;

const FAULTS: readonly Fault[] = [
  {
    what: "forgets X-Original-URL",
    change: [[SET_URL, ""]],
    found: [
      "page: the edge does not say what it asks about: X-Original-URL is missing",
      "X-Original-URL: a visitor's is believed",
    ],
    remedy: "proxy_set_header X-Original-URL $scheme://$host$request_uri;",
  },
  {
    what: "passes on a visitor's X-Forwarded-For",
    change: [[FORWARDED_FOR, ""]],
    found: ["X-Forwarded-For: a visitor's is believed"],
    remedy: "proxy_set_header X-Forwarded-For $remote_addr;",
  },
  {
    what: "adds an identity header to what it asks",
    change: [[SET_URL, `${SET_URL} proxy_set_header Remote-User guest;`]],
    found: ["page: the edge asks with remote-user, which no request may have: 500"],
    remedy: "RUNEGATE_CHECK_FORGED",
  },
  {
    what: "leaves /_runegate/check/ open",
    change: [
      ["location ^~ /_runegate/check/ { return 404; }", ""],
      ["location = /_runegate/check/nginx {", "location = /asking { set $asks /_runegate/check/nginx;"],
      [
        "location = /_runegate/challenge {",
        "location = /_runegate/challenge { set $asks /_runegate/challenge;",
      ],
      ["auth_request /_runegate/check/nginx;", "auth_request /asking;"],
      ["32k;\n    proxy_pass http://runegate;", "32k;\n    proxy_pass http://runegate$asks;"],
    ],
    found: ["/_runegate/check/nginx: 401: everybody may ask"],
    remedy: "location ^~ /_runegate/check/ { return 404; }",
  },
  {
    what: "lets everybody come where it asks",
    change: [["internal;", ""]],
    found: ["/_runegate/check/nginx: 400: everybody may ask", "/_runegate/challenge: 400: everybody may ask"],
    remedy: "`internal;`",
  },
  {
    what: "takes names with underscores and dots",
    change: [["access_log off;", "access_log off; underscores_in_headers on; ignore_invalid_headers off;"]],
    found: [
      "identity headers: remote_user, remote.user, remote~user come through: many applications take them for Remote-User",
    ],
    remedy: "underscores_in_headers off;",
  },
  {
    what: "takes names with underscores",
    change: [["access_log off;", "access_log off; underscores_in_headers on;"]],
    found: ["identity headers: remote_user come through: many applications take them for Remote-User"],
    remedy: "underscores_in_headers off;",
  },
  {
    what: "sends every 401 to the login page",
    change: [
      [CHALLENGE, "error_page 401 = @login;"],
      [
        "location = /_runegate/challenge {",
        "location @login { return 302 $scheme://$http_host/_runegate/login; }\nlocation = /_runegate/challenge {",
      ],
    ],
    found: ["script: 302 in place of 401", "form: 302 in place of 303", "websocket: 302 in place of 401"],
    remedy: "error_page 401 403 = /_runegate/challenge;",
  },
  {
    what: "answers 401 to pages",
    change: [[CHALLENGE, ""]],
    found: ["page: 401 in place of 302"],
    remedy: "error_page 401 403 = /_runegate/challenge;",
  },
  {
    what: "does not ask",
    change: [[ASKED, ""]],
    found: ["page: 200, and Runegate was not asked"],
    remedy: "auth_request",
  },
  {
    what: "asks about a path that it has put right",
    change: [
      [SET_URL, "proxy_set_header X-Original-URL $scheme://$host$asked_uri;"],
      ["set $asked_method", "set $asked_uri $uri; set $asked_method"],
    ],
    found: ["odd path: it arrives as /page/x/y;z/A, which is not what the application may get"],
    remedy: "$request_uri",
  },
  {
    what: "passes any upgrade on",
    change: [['proxy_set_header Upgrade "";', "proxy_set_header Upgrade $http_upgrade;"]],
    found: ["h2c: the edge passes `Upgrade: h2c` on"],
    remedy: "map $http_upgrade",
  },
  {
    what: "gives another scheme",
    change: [["X-Original-URL $scheme:", "X-Original-URL https:"]],
    found: ["scheme: http arrives as https"],
    remedy: "$scheme",
  },
  {
    what: "asks about another host",
    change: [["$scheme://$host$request_uri", "$scheme://inside.example$request_uri"]],
    found: ["page: it arrives as one for inside.example"],
    remedy: "Have the edge say the visitor's host.",
  },
  {
    what: "is not trusted",
    change: [],
    env: { RUNEGATE_TRUSTED_PROXIES: "10.0.0.0/8" },
    found: ["page: it comes from 127.0.0.1, which is not trusted"],
    remedy: "RUNEGATE_TRUSTED_PROXIES",
  },
  {
    what: "is believed about who is asking, and shows what visitors say",
    change: [],
    env: { RUNEGATE_CHECK_FORGED: "ignore" },
    found: ["identity headers: remote-user come through, and RUNEGATE_CHECK_FORGED=ignore lets them"],
    remedy: "take them out",
  },
];

/** Where it does not ask, but passes everything on to Runegate. */
const INLINE_FAULTS: readonly Fault[] = [
  {
    what: "passes on a visitor's X-Forwarded-For",
    change: [[FORWARDED_FOR, ""]],
    found: ["X-Forwarded-For: a visitor's is believed"],
    remedy: "proxy_set_header X-Forwarded-For $remote_addr;",
  },
  {
    what: "passes on a visitor's X-Forwarded-Host",
    change: [["proxy_set_header X-Forwarded-Host $http_host;", ""]],
    found: ["X-Forwarded-Host: a visitor's is believed"],
    remedy: "proxy_set_header X-Forwarded-Host $host;",
  },
  {
    what: "says nothing of visitors",
    change: [
      ["proxy_set_header Host $http_host;", ""],
      ["proxy_set_header X-Forwarded-Host $http_host;", ""],
      [FORWARDED_FOR, ""],
    ],
    found: [
      "page: it arrives as one for 127.0.0.1",
      "X-Forwarded-Host: a visitor's is believed",
      "X-Forwarded-For: a visitor's is believed",
    ],
    remedy: "proxy_set_header Host $host;",
  },
  {
    what: "gives another scheme",
    change: [["X-Forwarded-Proto $scheme", "X-Forwarded-Proto https"]],
    found: ["scheme: http arrives as https"],
    remedy: "X-Forwarded-Proto $scheme",
  },
  {
    what: "is not trusted",
    change: [],
    env: { RUNEGATE_TRUSTED_PROXIES: "10.0.0.0/8" },
    found: ["page: it comes from 127.0.0.1, which is not trusted"],
    remedy: "RUNEGATE_TRUSTED_PROXIES",
  },
];

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(() => upstream.stop());

const APPLICATION = `
  [[routes]]
  name = "app"
  host = "localhost"
  external = true
  allow = ["ada@example.org"]
`;

async function look(
  program: string,
  configure: Configure,
  { change, env }: Pick<Fault, "change" | "env">,
  mode: "asks" | "passes on" = "asks",
): Promise<readonly Finding[]> {
  const folder = mkdtempSync(join(tmpdir(), "runegate-doctor-"));
  chmodSync(folder, 0o755);
  const port = freePort();
  const gateway: TestGateway = await startGateway({
    env: {
      RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
      RUNEGATE_BASE_URL: `http://localhost:${port}`,
      RUNEGATE_SECURE_COOKIE: "false",
      ...env,
    },
    ...(mode === "asks" ? { routes: APPLICATION } : { target: upstream.url }),
  });
  const args = configure({
    folder,
    port,
    gateway: gateway.port,
    application: mode === "asks" ? upstream.port : gateway.port,
  });
  const path = args.at(-1) ?? "";
  let text = readFileSync(path, "utf8");
  for (const [good, bad] of mode === "asks" ? change : [[ASKED, ""] as const, ...change]) {
    expect(text).toContain(good);
    text = text.replaceAll(good, bad);
  }
  writeFileSync(path, text);
  const process = startProcess([program, ...args], { HOME: folder, XDG_DATA_HOME: folder });
  try {
    await listening(process, port);
    return await examine(`http://localhost:${port}/page`, operatorOf(gateway));
  } finally {
    process.signal("SIGTERM");
    await process.exited;
    await gateway.stop();
    rmSync(folder, { recursive: true });
  }
}

describe.each([
  ["nginx", configureNginx],
  ["caddy", configureCaddy],
] as const)("%s", (name, configure) => {
  const program = needs(name);
  if (program === undefined) return;

  test("that is set up well is good in everything", async () => {
    const findings = await look(program, configure, { change: [] });
    expect(those(findings, "wrong")).toEqual([]);
    expect(those(findings, "unknown")).toEqual([]);
    expect(findings).toHaveLength(17);
  });
});

test.skipIf(needs("caddy") === undefined)("caddy that leaves /_runegate/check/ open", async () => {
  const change = [["handle /_runegate/check/*", "handle /elsewhere/*"]] as const;
  const findings = await look("caddy", configureCaddy, { change });
  expect(those(findings, "wrong")).toEqual(["/_runegate/check/nginx: 401: everybody may ask"]);
});

describe("nginx that passes everything on, and", () => {
  const program = needs("nginx");
  if (program === undefined) return;

  test("does so well, is good in everything", async () => {
    const findings = await look(program, configureNginx, { change: [] }, "passes on");
    expect([...those(findings, "wrong"), ...those(findings, "unknown")]).toEqual([]);
  });

  test.each(INLINE_FAULTS)("$what: that is found, and what to do", async ({ found, remedy, ...fault }) => {
    const findings = await look(program, configureNginx, fault, "passes on");
    expect(those(findings, "wrong")).toEqual([...found]);
    expect(findings.find(({ state }) => state === "wrong")?.remedy).toContain(remedy);
  });
});

describe("nginx that", () => {
  const program = needs("nginx");
  if (program === undefined) return;

  test.each(FAULTS)(
    "$what: that is found, nothing else, and what to do",
    async ({ found, remedy, ...fault }) => {
      const findings = await look(program, configureNginx, fault);
      expect(those(findings, "wrong")).toEqual([...found]);
      expect(findings.find(({ state }) => state === "wrong")?.remedy).toContain(remedy);
    },
  );

  test("adds to X-Forwarded-For: from a trusted machine nobody can tell", async () => {
    const change = [["X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"]] as const;
    const findings = await look(program, configureNginx, { change });
    expect(those(findings, "wrong")).toEqual([]);
    expect(those(findings, "unknown")).toEqual([
      expect.stringMatching(/^X-Forwarded-For: the edge adds to a visitor's/),
    ]);
  });
});
