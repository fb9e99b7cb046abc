import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What is shipped for edges that ask says the same in each of their languages. That it works is for test/forward-auth. */

const folder = join(import.meta.dir, "../../deploy/edges");
const read = (path: string) => readFileSync(join(folder, path), "utf8");
const yaml = (path: string) => Bun.YAML.parse(read(path)) as unknown;

/** What an application is told of who is asking, and the two that are to be replaced. */
const TOLD = [
  ...["remote-user", "remote-email", "remote-groups", "remote-name"],
  ...["x-runegate-user", "x-runegate-authenticated", "x-runegate-actor", "x-runegate-jwt"],
  ...["x-runegate-key-id", "x-authenticated-user", "x-authenticated-token-id"],
  ...["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "authorization", "cookie"],
];
const sorted = (names: readonly string[]) => names.map((name) => name.toLowerCase()).toSorted();

/** Every list of names at a key, wherever it stands. */
function listsAt(key: string, value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === key && Array.isArray(inner) ? [inner.map(String)] : listsAt(key, inner),
  );
}

type Rules = { readonly http: { readonly routers: Readonly<Record<string, { readonly rule: string }>> } };
const traefik = yaml("traefik/runegate.yaml") as Rules;
const rules = sorted(Object.values(traefik.http.routers).map(({ rule }) => rule));
const [traefikTells = []] = listsAt("authResponseHeaders", traefik);

test("every file of YAML is YAML", () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.ya?ml$/.test(name),
  );
  expect(files.length).toBeGreaterThan(10);
  for (const file of files) expect([file, typeof yaml(file)]).toEqual([file, "object"]);
});

describe("Traefik is told the same", () => {
  test("by a file, by labels and by Kubernetes", () => {
    const labels = Object.entries(
      Object.assign({}, ...listed(yaml("compose.traefik.yaml"), "labels")) as Record<string, string>,
    );
    const names = labels.find(([label]) => label.endsWith(".authResponseHeaders"))?.[1].split(",") ?? [];
    expect(sorted(names)).toEqual(sorted(traefikTells));
    expect(sorted(labels.flatMap(([label, value]) => (label.endsWith(".rule") ? [value] : [])))).toEqual(
      rules,
    );
    const kubernetes = yaml("kubernetes/traefik.yaml");
    expect(listsAt("authResponseHeaders", kubernetes).map(sorted)).toEqual([sorted(traefikTells)]);
    expect(sorted(read("kubernetes/traefik.yaml").match(/(?<=match: ).*/g) ?? [])).toEqual(rules);
  });
});

describe("the application is told all there is", () => {
  test.each([
    ["traefik", traefikTells],
    ["Caddy", [...read("Caddyfile").matchAll(/^\t{5}([A-Z][\w-]+)$/gm)].map(([, name = ""]) => name)],
    [
      "nginx",
      [
        ...read("nginx/snippets/runegate-identity.conf").matchAll(/proxy_set_header ([\w-]+) \$runegate/g),
      ].map(([, name = ""]) => name),
    ],
    ["the Gateway API", listsAt("allowedResponseHeaders", yaml("kubernetes/gateway-api.yaml")).flat()],
    ["Envoy Gateway", listsAt("headersToBackend", yaml("kubernetes/envoy-gateway.yaml")).flat()],
    [
      "ingress-nginx",
      (/auth-response-headers: "(.*)"/.exec(read("kubernetes/ingress-nginx.yaml"))?.[1] ?? "").split(","),
    ],
  ] as const)("by %s", (_, names) => {
    expect(sorted(names)).toEqual(expect.arrayContaining(TOLD));
  });
});

/** A visitor's own would stand beside, or in place of, what the edge says was asked for. */
test("no edge that picks what it asks with picks a description", () => {
  const lists = [
    ...(read("envoy.yaml").match(/(?<=allowed_headers:)[\s\S]*?(?=http_service:)/g) ?? []),
    ...listsAt("allowedHeaders", yaml("kubernetes/gateway-api.yaml")).map(String),
    ...listsAt("headersToExtAuth", yaml("kubernetes/envoy-gateway.yaml")).map(String),
    ...listsAt("includeRequestHeadersInCheck", yaml("kubernetes/istio-mesh.yaml")).map(String),
  ];
  expect(lists).toHaveLength(4);
  for (const list of lists) {
    const names = list.replaceAll(/#.*/g, "");
    expect(names).toMatch(/cookie/i);
    expect(names).not.toMatch(
      /x-original|x-forwarded-(uri|method|host|prefix|\*)|x-forwarded\*|prefix: x-?(f|\})/i,
    );
  }
});

test("what nginx keeps is where no disk is, by a key with all cookies, and opens no WebSocket", () => {
  expect(read("nginx-cache/conf.d/runegate-cache.conf")).toMatch(/^proxy_cache_path \/run\//m);
  const key = '"$host\\n$request_method\\n$http_cookie\\n$http_authorization\\n$http_x_runegate_key"';
  expect(read("nginx-cache/snippets/runegate-cached-server.conf")).toContain(`proxy_cache_key ${key};`);
  expect(read("nginx-cache/snippets/runegate-cached-protected.conf")).toContain(
    'proxy_set_header Upgrade "";',
  );
});

test("each closes to visitors what edges ask", () => {
  const files = [
    ...["nginx/snippets/runegate-server.conf", "Caddyfile", "haproxy/haproxy.cfg", "envoy.yaml"],
    ...[
      "traefik/runegate.yaml",
      "compose.traefik.yaml",
      "kubernetes/traefik.yaml",
      "kubernetes/gateway-api.yaml",
    ],
    ...["kubernetes/envoy-gateway.yaml", "kubernetes/istio.yaml", "kubernetes/ingress-nginx.yaml"],
    ...["../nginx/runegate-nginx.conf", "../Caddyfile"],
  ];
  for (const file of files) {
    const said = read(file).replaceAll(/^\s*#.*/gm, "");
    expect([file, /\/_runegate\/check/.test(said), /\/_runegate\/challenge/.test(said)]).toEqual([
      file,
      true,
      true,
    ]);
  }
});

function listed(value: unknown, key: string): Readonly<Record<string, string>>[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => (name === key ? [inner] : listed(inner, key)));
}
