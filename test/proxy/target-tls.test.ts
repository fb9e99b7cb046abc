import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { makeCertificate } from "../support/certificate.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type TestMachine, testMachine } from "../support/surroundings.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import { acceptWebSocket, openWebSocket } from "./websocket.ts";

/** How targets prove who they are, and Runegate to them (`tls_…` of a route): by HTTP and by WebSocket. */

const [own, other, expired, client] = [
  makeCertificate(),
  makeCertificate({ names: ["app.internal"], addresses: [] }),
  makeCertificate({ notAfter: new Date(Date.now() - 1000) }),
  makeCertificate({ names: ["runegate"] }),
];
let machine: TestMachine;
let servers: Record<"own" | "other" | "expired" | "strict" | "unix", Upstream>;
let gateway: TestGateway;
let cookie: string;

beforeAll(async () => {
  machine = testMachine();
  servers = {
    own: await startUpstream({ tls: own }),
    other: await startUpstream({ tls: other }),
    expired: await startUpstream({ tls: expired }),
    strict: await startUpstream({ tls: { ...own, ca: client.cert } }),
    unix: await startUpstream({ unix: join(machine.directory, "app.sock") }),
  };
  for (const server of Object.values(servers))
    server.on("/ws", async (exchange) => void (await acceptWebSocket(exchange)));
  const file = (name: string, text: string) => JSON.stringify(machine.write(name, text));
  const ca = `tls_ca_file = ${file("own.pem", own.cert)}`;
  const otherCa = `tls_ca_file = ${file("other.pem", other.cert)}`;
  const cert = `tls_client_cert_file = ${file("client.pem", client.cert)}\ntls_client_key_file = ${file("client.key", client.key)}`;
  const routes: [name: string, target: Upstream, keys: string][] = [
    ["trusted", servers.own, ca],
    ["untrusted", servers.own, ""],
    ["other-authority", servers.own, otherCa],
    ["unverified", servers.own, "tls_verify = false"],
    ["other-name", servers.other, otherCa],
    ["named", servers.other, `${otherCa}\ntls_server_name = "app.internal"`],
    ["misnamed", servers.own, `${ca}\ntls_server_name = "app.internal"`],
    ["expired", servers.expired, `tls_ca_file = ${file("expired.pem", expired.cert)}`],
    ["expired-unverified", servers.expired, "tls_verify = false"],
    ["with-certificate", servers.strict, `${ca}\n${cert}`],
    ["without-certificate", servers.strict, ca],
    ["unix", servers.unix, ""],
  ];
  gateway = await startGateway({
    env: { RUNEGATE_BASE_URL: "https://app.example.org" },
    routes: routes
      .map(
        ([name, { url }, keys]) =>
          `[[routes]]\nname = "${name}"\nhost = "${name}.example.org"\ntarget = "${url}"\nallow = ["anyone"]\n${keys}`,
      )
      .join("\n"),
  });
  cookie = await gateway.signIn();
});
afterAll(async () => {
  await gateway.stop();
  for (const server of Object.values(servers)) server.stop();
  machine[Symbol.dispose]();
});

const ask = (name: string, path = "/x") =>
  fetch(gateway.url + path, { headers: { Host: `${name}.example.org`, Cookie: cookie } });

async function handshake(name: string): Promise<number> {
  const fields = [`Host: ${name}.example.org`, `Origin: https://${name}.example.org`, `Cookie: ${cookie}`];
  const { head, peer } = await openWebSocket(gateway.port, "/ws", fields);
  peer.wire.destroy();
  return head.status;
}

/** Twice each, in an order in which one that is refused follows one that is not: a kept connection is no proof. */
const EXPECTED: readonly [name: string, reached: boolean][] = [
  ["trusted", true],
  ["untrusted", false],
  ["unverified", true],
  ["untrusted", false],
  ["other-authority", false],
  ["misnamed", false],
  ["trusted", true],
  ["named", true],
  ["other-name", false],
  ["expired-unverified", true],
  ["expired", false],
  ["with-certificate", true],
  ["without-certificate", false],
  ["with-certificate", true],
  ["unix", true],
];

describe("HTTP", () => {
  test.each([...EXPECTED, ...EXPECTED])("%s: %p", async (name, reached) => {
    const response = await ask(name);
    expect(response.status).toBe(reached ? 200 : 502);
  });
});

describe("WebSocket", () => {
  test.each([...EXPECTED, ...EXPECTED])("%s: %p", async (name, reached) => {
    expect(await handshake(name)).toBe(reached ? 101 : 502);
  });
});

test("what goes wrong is in the log, and in no answer", async () => {
  const said = await (await ask("untrusted")).text();
  expect(said).not.toMatch(/cert|tls|127\.0\.0\.1|SELF/i);
  expect(gateway.lines.findLast((line) => line.includes("did not answer"))).toMatch(/SELF_SIGNED|CERT/i);
});
