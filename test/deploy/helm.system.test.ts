import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../build/support.ts";
import { startLoad } from "../process/load.ts";
import { openStage, until } from "../process/stage.ts";
import { needs } from "../support/needs.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { installTools, type Manifest, manifestsIn, type Values } from "./chart.ts";

/** The Helm chart: what Helm renders, what Kubernetes says to that, and what Runegate makes of what it is given there. */

// Helm is built the first time.
setDefaultTimeout(900_000);

const isRoot = process.getuid?.() === 0;
const folder = mkdtempSync(join(tmpdir(), "runegate-helm-"));
// The pod's user looks in here.
chmodSync(folder, 0o755);
const tools = await installTools(folder);
afterAll(() => rmSync(folder, { recursive: true }));

const OPTIONS = {
  RUNEGATE_BASE_URL: "https://app.example.org",
  RUNEGATE_TARGET_SERVICE: "http://app.default.svc.cluster.local:7860",
  RUNEGATE_ALLOWED_EMAILS: "ada@example.org",
  RUNEGATE_TRUSTED_PROXIES: "10.244.0.0/16",
};
const INGRESS = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ingress" } } }];
const BASE = {
  image: { repository: "registry.example.org/runegate" },
  options: OPTIONS,
  secrets: { existingSecret: "secrets" },
  networkPolicy: { from: INGRESS },
};
const EMAIL = `smtp_host = "mail.internal"
smtp_port = 587
from_address = "gate@internal.net"
body_template = "{login_url} {code}"
`;
const DATA = { "jwt-secret": "j".repeat(32), "session-key": "5".repeat(128), "email.toml": EMAIL };
const PASSWORD = "valkeyPassword0123456789";
const ROUTES = readFileSync(join(root, "deploy/config/routes.toml.example"), "utf8");
const { RUNEGATE_TARGET_SERVICE: _, ...ROUTED } = OPTIONS;
const SHARED = { store: { type: "valkey" }, replicas: 3 };

/** Each with the kinds that come of it, sorted. */
const GOOD: readonly (readonly [string, Values, readonly string[]])[] = [
  [
    "the least there is: a file on a volume",
    BASE,
    ["Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"],
  ],
  [
    "an Ingress for two hosts",
    {
      ...BASE,
      hosts: ["grafana.example.org"],
      ingress: {
        ...{ enabled: true, className: "nginx", tlsSecretName: "app-tls" },
        annotations: { "nginx.ingress.kubernetes.io/proxy-body-size": "0" },
      },
    },
    ["Deployment", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"],
  ],
  [
    "the Gateway API, with streams that are not cut off",
    {
      ...BASE,
      httpRoute: {
        enabled: true,
        parentRefs: [{ name: "edge", namespace: "edge", sectionName: "https" }],
        timeouts: { request: "0s" },
      },
    },
    ["Deployment", "HTTPRoute", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"],
  ],
  [
    "three replicas with a Valkey server that is there",
    { ...BASE, ...SHARED, secrets: { data: { ...DATA, store: `valkeys://gate:${PASSWORD}@valkey:6379/0` } } },
    ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service", "ServiceAccount"],
  ],
  [
    "three replicas with a PostgreSQL server",
    {
      ...{ ...BASE, store: { type: "postgres" }, replicas: 3 },
      secrets: { data: { ...DATA, store: `postgres://gate:${PASSWORD}@db.example.org:5432/gate` } },
    },
    ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Secret", "Service", "ServiceAccount"],
  ],
  [
    "three replicas with a Valkey server of their own, and a way out for each connection",
    {
      ...{ ...BASE, ...SHARED, valkey: { enabled: true, storageClassName: "fast" } },
      secrets: { data: { ...DATA, "valkey-password": PASSWORD } },
      networkPolicy: { from: INGRESS, egress: [{ to: [{ ipBlock: { cidr: "192.0.2.0/24" } }] }] },
    },
    [
      ...["ConfigMap", "Deployment", "NetworkPolicy", "NetworkPolicy", "PodDisruptionBudget", "Secret"],
      ...["Service", "Service", "ServiceAccount", "StatefulSet"],
    ],
  ],
  [
    "memory, for trying it out",
    { ...BASE, store: { type: "memory" }, secrets: { data: DATA }, image: { repository: "r", tag: "edge" } },
    ["Deployment", "NetworkPolicy", "Secret", "Service", "ServiceAccount"],
  ],
  [
    "several applications, for edges that ask",
    { ...BASE, options: ROUTED, routes: { toml: ROUTES }, checks: { enabled: true } },
    ["ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"],
  ],
  [
    "routes in the Secret, a claim and a service account that are there",
    {
      ...{ ...BASE, options: ROUTED, routes: { inSecret: true } },
      secrets: { data: { ...DATA, "routes.toml": ROUTES } },
      store: { sqlite: { existingClaim: "state" } },
      serviceAccount: { create: false, name: "gate" },
    },
    ["Deployment", "NetworkPolicy", "Secret", "Service"],
  ],
  [
    "what a cluster's operator wants to say of pods",
    {
      ...BASE,
      image: { ...BASE.image, digest: `sha256:${"0".repeat(64)}`, pullSecrets: [{ name: "registry" }] },
      options: { ...OPTIONS, RUNEGATE_SESSION_TTL: 1_209_600, RUNEGATE_PASSKEYS: true },
      ...{ podAnnotations: { a: "b" }, podLabels: { team: "x" }, nodeSelector: { disk: "ssd" } },
      ...{ tolerations: [{ key: "k", operator: "Exists" }], affinity: { nodeAffinity: {} } },
      ...{ priorityClassName: "high", extraEnv: [{ name: "NODE_EXTRA_CA_CERTS", value: "/ca/ca.pem" }] },
      extraVolumes: [{ name: "ca", configMap: { name: "ca" } }],
      extraVolumeMounts: [{ name: "ca", mountPath: "/ca", readOnly: true }],
      ...{ preStopSeconds: 20, terminationGracePeriodSeconds: 60 },
      service: { type: "LoadBalancer", annotations: { "example.org/internal": "true" } },
    },
    ["Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"],
  ],
  [
    "no network policy, no pause before the end, nobody trusted",
    {
      ...{ ...BASE, networkPolicy: { enabled: false }, preStopSeconds: 0 },
      options: { ...OPTIONS, RUNEGATE_TRUSTED_PROXIES: "" },
    },
    ["Deployment", "PersistentVolumeClaim", "Service", "ServiceAccount"],
  ],
];

const without = (values: Readonly<Record<string, unknown>>, name: string) =>
  Object.fromEntries(Object.entries(values).filter(([key]) => key !== name));
const withOptions = (options: Values): Values => ({ ...BASE, options: { ...OPTIONS, ...options } });
const withData = (data: Values, more: Values = {}): Values => ({
  ...BASE,
  secrets: { data: { ...DATA, ...data } },
  ...more,
});

const REFUSED: readonly (readonly [string, Values, RegExp])[] = [
  ["a misspelt value", { ...BASE, replica: 3 }, /'replica' not allowed/],
  ["a misspelt value further in", { ...BASE, store: { kind: "memory" } }, /'kind' not allowed/],
  ["a misspelt option", withOptions({ RUNEGATE_SESION_TTL: "7d" }), /'RUNEGATE_SESION_TTL' not allowed/],
  [
    "a secret among the options",
    withOptions({ RUNEGATE_JWT_SECRET: "s".repeat(32) }),
    /'RUNEGATE_JWT_SECRET' not/,
  ],
  ["an option that the chart sets", withOptions({ RUNEGATE_LISTEN: "0.0.0.0:80" }), /'RUNEGATE_LISTEN' not/],
  ["an option past the schema", { ...BASE, extraEnv: [{ name: "RUNEGATE_LISTEN", value: "1" }] }, /extraEnv/],
  ["a value of another kind", { ...BASE, replicas: "three" }, /replicas/],
  ["a store that there is not", { ...BASE, store: { type: "postgresql" } }, /store\/type|store\.type/],
  ["several with a file", { ...BASE, replicas: 2 }, /replicas is 2, and store\.type sqlite is not shared/],
  [
    "several with memory",
    { ...BASE, replicas: 2, store: { type: "memory" } },
    /store\.type memory is not shared/,
  ],
  [
    "a Valkey of its own that is not used",
    { ...BASE, valkey: { enabled: true } },
    /takes store\.type: valkey/,
  ],
  ["no image", without(BASE, "image"), /image\.repository is not set/],
  ["no address", withOptions({ RUNEGATE_BASE_URL: "" }), /RUNEGATE_BASE_URL must be/],
  ["an address without TLS", withOptions({ RUNEGATE_BASE_URL: "http://a.example" }), /BASE_URL must be/],
  ["an address with a path", withOptions({ RUNEGATE_BASE_URL: "https://a.example/x" }), /BASE_URL must be/],
  ["no application", { ...BASE, options: ROUTED }, /TARGET_SERVICE is not set/],
  ["nobody who may", withOptions({ RUNEGATE_ALLOWED_EMAILS: "" }), /nobody may sign in/],
  [
    "nothing said of who is believed",
    { ...BASE, options: without(OPTIONS, "RUNEGATE_TRUSTED_PROXIES") },
    /TRUSTED_PROXIES is not set/,
  ],
  ["all believed", withOptions({ RUNEGATE_TRUSTED_PROXIES: "10.0.0.0/8, 0.0.0.0/0" }), /believes everybody/],
  [
    "all of IPv6 believed",
    withOptions({ RUNEGATE_TRUSTED_PROXIES: "::/0,10.0.0.0/8" }),
    /believes everybody/,
  ],
  ["no secrets", without(BASE, "secrets"), /existingSecret is not set/],
  ["secrets twice", { ...BASE, secrets: { existingSecret: "s", data: DATA } }, /exclude each other/],
  ["a short secret", withData({ "jwt-secret": "short" }), /jwt-secret must have 32/],
  ["a short key", withData({ "session-key": "short" }), /session-key must have 64/],
  ["no mail server", withData({ "email.toml": "" }), /no email\.toml/],
  ["no PostgreSQL server", withData({}, { store: { type: "postgres" } }), /data\.store must be postgres/],
  [
    "a Valkey server beside a PostgreSQL server",
    withData({ store: "postgres://db/gate" }, { store: { type: "postgres" }, valkey: { enabled: true } }),
    /takes store\.type: valkey/,
  ],
  ["no Valkey server", withData({}, { store: { type: "valkey" } }), /data\.store must be/],
  [
    "a password that would have to be quoted",
    withData({ "valkey-password": "a@b/c d:e".repeat(3) }, { ...SHARED, valkey: { enabled: true } }),
    /valkey-password must be/,
  ],
  ["routes in two places", { ...BASE, routes: { toml: "x", inSecret: true } }, /exclude each other/],
  ["routes in a Secret without", withData({}, { routes: { inSecret: true } }), /no routes\.toml/],
  ["nobody let in", { ...BASE, networkPolicy: {} }, /networkPolicy\.from is empty/],
  ["a route to no Gateway", { ...BASE, httpRoute: { enabled: true } }, /parentRefs must name/],
  ["an end that cuts off", { ...BASE, terminationGracePeriodSeconds: 16 }, /must be 17 or more/],
];

async function rendered(values: Values): Promise<Manifest[]> {
  const { code, stdout, stderr } = (await tools?.helm("template", values)) ?? {
    code: 1,
    stdout: "",
    stderr: "",
  };
  expect([code, stderr]).toEqual([0, ""]);
  return manifestsIn(stdout);
}

type Pod = {
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext: unknown;
  readonly containers: readonly [
    {
      readonly image: string;
      readonly env: readonly { readonly name: string; readonly value?: string }[];
      readonly securityContext: unknown;
      readonly [field: string]: unknown;
    },
  ];
};
const of = (manifests: readonly Manifest[], kind: string) => manifests.filter((one) => one.kind === kind);
const podsOf = (manifests: readonly Manifest[]): Pod[] =>
  [...of(manifests, "Deployment"), ...of(manifests, "StatefulSet")].map(({ spec }) => spec.template.spec);
const gatewayOf = (manifests: readonly Manifest[]): Manifest["spec"] => of(manifests, "Deployment")[0]?.spec;

const USER = 65532;

/**
 * What the kubelet would start it with, its volumes below a folder of this machine: files that are links and belong to root, and folders
 * that others may write to. Where this is not root, they belong to whoever it is.
 */
function placed(
  manifests: readonly Manifest[],
  data: Readonly<Record<string, string>>,
): Record<string, string> {
  const place = mkdtempSync(join(folder, "pod-"));
  chmodSync(place, 0o755);
  function volume(path: string, mode: number): string {
    const directory = join(place, path);
    mkdirSync(directory, { recursive: true });
    if (isRoot) chownSync(directory, 0, USER);
    chmodSync(directory, mode);
    return directory;
  }
  function files(path: string, mode: number, contents: Readonly<Record<string, string>>): void {
    const directory = volume(path, 0o2755);
    mkdirSync(join(directory, "..2026"));
    symlinkSync("..2026", join(directory, "..data"));
    for (const [name, text] of Object.entries(contents)) {
      const file = join(directory, "..2026", name);
      writeFileSync(file, text);
      if (isRoot) chownSync(file, 0, USER);
      chmodSync(file, mode);
      symlinkSync(join("..data", name), join(directory, name));
    }
  }
  // Nobody's group counts for root, and whoever is not root has no group of this number.
  files("/etc/runegate/secrets", isRoot ? 0o440 : 0o400, data);
  for (const { metadata, data: contents } of of(manifests, "ConfigMap")) {
    if (metadata.name === "gate-runegate") files("/etc/runegate/routes", 0o644, contents);
  }
  volume("/var/lib/runegate", 0o2775);
  volume("/run/runegate", 0o2777);
  const [{ env }] = (gatewayOf(manifests).template.spec as Pod).containers;
  const variables = env
    .filter(({ name }) => name.startsWith("RUNEGATE_"))
    .map(({ name, value = "" }) => [
      name,
      value
        .replace(/\/(?:etc|run|var\/lib)\/runegate/, `${place}$&`)
        .replace("$(VALKEY_PASSWORD)", data["valkey-password"] ?? ""),
    ]);
  // Where it would be by itself, there.
  const socket = { RUNEGATE_CONTROL_SOCKET: join(place, "run/runegate/control-7870.sock") };
  return { ...socket, ...Object.fromEntries(variables) };
}

/** As the pod's user, without a right of root's. */
/** The source may lie where root alone may read; a pod has the program in its image. */
const READS = ["bounding-set", "inh-caps", "ambient-caps"].map((set) => `--${set}=-all,+dac_read_search`);
const confined = (command: readonly string[]) =>
  isRoot
    ? ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", ...READS, ...command]
    : command;

describe.skipIf(tools === undefined)("the chart", () => {
  describe.each(GOOD)("%s", (_, values, kinds) => {
    test("is what Helm and Kubernetes take", async () => {
      const linted = await tools?.helm("lint", values);
      expect([linted?.code, linted?.stdout]).toEqual([0, expect.stringContaining("0 chart(s) failed")]);
      const manifests = await rendered(values);
      expect(manifests.map(({ kind }) => kind).sort()).toEqual([...kinds]);
      expect(await tools?.objections(manifests)).toBe("");
    });

    test("can write nowhere, become nobody else, and ask nothing of Kubernetes", async () => {
      for (const pod of podsOf(await rendered(values))) {
        expect(pod).toMatchObject({
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
          containers: [
            {
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ["ALL"] },
              },
            },
          ],
        });
        const text = JSON.stringify(pod);
        for (const secret of [PASSWORD, DATA["jwt-secret"], DATA["session-key"]])
          expect(text).not.toContain(secret);
      }
    });

    test("is a configuration that Runegate finds good", async () => {
      const { data = {} } = (values.secrets ?? {}) as { data?: Record<string, string> };
      const ran = startProcess(
        confined(runegate("check")),
        placed(await rendered(values), { ...DATA, ...data }),
        folder,
      );
      expect([await ran.exited, ran.output()]).toEqual([
        0,
        expect.stringContaining("The configuration is good"),
      ]);
      const warned = ran.output().match(/^warning: .*? is /gm) ?? [];
      const forgets = (values.store as { type?: string } | undefined)?.type === "memory";
      expect(warned).toEqual(forgets ? ["warning: RUNEGATE_STORE is "] : []);
    });
  });

  test("the guide's values are good", async () => {
    const guide = readFileSync(join(root, "deploy/README.md"), "utf8");
    const [, values = ""] = /^## Kubernetes$[\s\S]*?```yaml\n([\s\S]*?)```/m.exec(guide) ?? [];
    const manifests = await rendered(Bun.YAML.parse(values) as Values);
    expect(of(manifests, "Ingress")).toHaveLength(1);
    expect(await tools?.objections(manifests)).toBe("");
  });

  test("what is said after an installation names what was installed, and who is believed", async () => {
    const notes = async (values: Values) =>
      (await tools?.helm("install", values))?.stdout.split("\nNOTES:\n")[1] ?? "";
    const said = await notes({ ...BASE, ingress: { enabled: true } });
    expect(said).toContain("https://app.example.org, with its state in sqlite");
    expect(said).toContain("the Ingress does");
    expect(said).toContain("(10.244.0.0/16) is not where the ingress's requests come from");
    expect(await notes({ ...BASE, networkPolicy: { enabled: false } })).toContain(
      "NO NetworkPolicy keeps the other",
    );
    expect(await notes({ ...BASE, store: { type: "memory" } })).toContain(
      "every restart signs everybody out",
    );
    const commands = [...said.matchAll(/exec deployment\/gate-runegate -- \/runegate (\w+)/g)];
    expect(commands.map(([, name]) => name)).toEqual(["check", "link", "sessions"]);
  });

  test("runs on such volumes, is reached by its commands there, and keeps its state over a restart", async () => {
    const env = {
      ...placed(await rendered(BASE), DATA),
      RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
      RUNEGATE_CHECK_LISTEN: `127.0.0.1:${freePort()}`,
    };
    const command = async (...args: string[]) => {
      const ran = startProcess(confined(runegate(...args)), env, folder);
      return [await ran.exited, ran.output()];
    };
    for (const signedIn of ["Nobody is signed in.", "ada@example.org"]) {
      const gateway = startProcess(confined(runegate("serve")), env, folder);
      await gateway.waitFor(/"listening"/);
      expect(gateway.output()).not.toMatch(/"(warn|error)"/i);
      expect(await command("health")).toEqual([0, "ready\n"]);
      expect(await command("sessions")).toEqual([0, expect.stringContaining(signedIn)]);
      const [, output] = await command("link", "ada@example.org");
      const { searchParams } = new URL(/https:\S+/.exec(String(output))?.[0] ?? "");
      const opened = await fetch(`http://${env.RUNEGATE_LISTEN}/_runegate/auth`, {
        method: "POST",
        redirect: "manual",
        headers: { Host: "app.example.org", Origin: "https://app.example.org" },
        body: searchParams,
      });
      expect([opened.status, opened.headers.get("set-cookie")]).toEqual([
        200,
        expect.stringContaining("runegate_id="),
      ]);
      gateway.signal("SIGTERM");
      expect(await gateway.exited).toBe(0);
    }
  });

  test("objections are found", async () => {
    const manifests = await rendered({
      ...BASE,
      httpRoute: { enabled: true, parentRefs: [{ nam: "edge" }] },
    });
    const found = await tools?.objections([
      ...manifests,
      { ...gatewayOf(manifests), apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "broken" } },
    ]);
    expect(found).toMatch(/HTTPRoute\/gate-runegate .*nam/);
    expect(found).toMatch(/Deployment\/broken 1\.30 /);
    expect(found).toMatch(/Deployment\/broken 1\.37 /);
  });

  test.each(REFUSED)("refuses %s", async (_, values, why) => {
    const refused = await tools?.helm("template", values);
    expect([refused?.code, refused?.stdout]).toEqual([1, ""]);
    expect(refused?.stderr).toMatch(why);
  });

  test("says all that is missing at once", async () => {
    const refused = await tools?.helm("template", {});
    expect(refused?.stderr.match(/^- /gm)).toHaveLength(7);
  });

  test("a changed file is another pod, and nothing else is", async () => {
    const annotations = async (values: Values) =>
      gatewayOf(await rendered(values)).template.metadata.annotations;
    const before = await annotations(withData({}));
    expect(await annotations(withData({}, { hosts: ["b.example.org"] }))).toEqual(before);
    expect(await annotations(withData({ "email.toml": `${EMAIL}\n` }))).not.toEqual(before);
    expect(await annotations(withData({}, { routes: { toml: ROUTES } }))).not.toEqual(before);
  });

  test("nobody but a configured edge can ask for a check", async () => {
    for (const enabled of [false, true]) {
      const manifests = await rendered({ ...BASE, checks: { enabled } });
      const [{ env }] = (gatewayOf(manifests).template.spec as Pod).containers;
      const at = env.find(({ name }) => name === "RUNEGATE_CHECK_LISTEN")?.value;
      expect(at).toBe(enabled ? "0.0.0.0:7871" : "127.0.0.1:7871");
      const ports = [
        of(manifests, "Service")[0]?.spec.ports,
        of(manifests, "NetworkPolicy")[0]?.spec.ingress[0].ports,
      ].map((list: { port: number }[]) => list.map(({ port }) => port));
      expect(ports).toEqual(
        enabled
          ? [
              [7870, 7871],
              [7870, 7871],
            ]
          : [[7870], [7870]],
      );
    }
  });

  test("one pod at a time where the state is not shared, and a new one before the old one goes where it is", async () => {
    const alone = await rendered(BASE);
    expect(gatewayOf(alone).strategy).toEqual({ type: "Recreate" });
    expect(of(alone, "Service")[0]?.spec.publishNotReadyAddresses).toBe(true);
    const several = await rendered({ ...BASE, ...SHARED });
    expect(gatewayOf(several).strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
    expect(of(several, "Service")[0]?.spec.publishNotReadyAddresses).toBeUndefined();
  });

  /** Under load, from the order to stop to the end of the process: what the chart's time has to be enough for. */
  test("what is under way ends within the time that the chart gives", async () => {
    const { template } = gatewayOf(await rendered(BASE));
    const { terminationGracePeriodSeconds = 0, containers } = template.spec as Pod;
    const { preStop } = containers[0].lifecycle as { preStop: { sleep: { seconds: number } } };
    const given = (terminationGracePeriodSeconds - preStop.sleep.seconds) * 1000;

    for (const [what, path] of [
      ["a load of short requests, and a download", "/drip?n=30&ms=100"],
      ["the same, and a request that never ends", "/held"],
    ] as const) {
      await using stage = await openStage();
      const cookie = await stage.signIn();
      const load = startLoad({ ...stage, path: "/", cookie, connections: "kept", perSecond: 400 });
      const download = fetch(`${stage.url}${path}`, { headers: { Cookie: cookie } }).then((one) =>
        one.bytes(),
      );
      const stream = await fetch(`${stage.url}/events`, { headers: { Cookie: cookie } });
      await until("there is load", () => load.answered > 400);
      if (path === "/held") await until("it waits", () => stage.application.held.length === 1);
      expect(load.errors).toEqual([]);
      const stopped = performance.now();
      stage.main.signal("SIGTERM");
      const end = Promise.allSettled([download, stream.bytes()]);
      expect(await stage.main.exited).toBe(0);
      const ms = performance.now() - stopped;
      const [came] = await end;
      await load.stop();
      // Whoever has not heard of it finds nobody: hence the pause before.
      expect(load.errors.length).toBeGreaterThan(0);
      const refused = `${load.errors.length} requests found nobody`;
      console.info(`${what}: stopped in ${Math.round(ms)} ms, of ${given} there are, and ${refused}`);
      if (path !== "/held")
        expect(came).toMatchObject({ status: "fulfilled", value: { byteLength: 30_000 } });
      expect(ms).toBeLessThan(given);
    }
  });

  const redis = needs("redis-server");
  test.skipIf(redis === undefined)(
    "its own Valkey lets in Runegate, and nobody without the password",
    async () => {
      const [, values] = GOOD.find(([name]) => name.includes("Valkey server of their own")) ?? [];
      const configuration = of(await rendered(values ?? {}), "ConfigMap")[0]?.data as Record<string, string>;
      const place = mkdtempSync(join(folder, "valkey-"));
      for (const path of ["etc/valkey/secret", "run/valkey", "data", "bin"])
        mkdirSync(join(place, path), { recursive: true });
      const here = (text: string) =>
        text.replaceAll(/(?<![\w/])\/(?=etc\/valkey|run\/valkey|data)/g, `${place}/`);
      for (const [name, text] of Object.entries(configuration))
        writeFileSync(join(place, "etc/valkey", name), here(text));
      writeFileSync(join(place, "etc/valkey/secret/valkey-password"), PASSWORD);
      // Both programs read the same configuration and the same rights.
      symlinkSync(redis ?? "", join(place, "bin/valkey-server"));
      const port = freePort();
      writeFileSync(join(place, "etc/valkey/valkey.conf"), `\nport ${port}\n`, { flag: "a" });
      const PATH = `${join(place, "bin")}:${process.env.PATH}`;
      const server = startProcess(["sh", join(place, "etc/valkey/start.sh")], { PATH }, place);
      try {
        await server.waitFor(/Ready to accept connections/);
        await using stage = await openStage({
          options: { RUNEGATE_STORE: `valkey://gate:${PASSWORD}@127.0.0.1:${port}/0` },
        });
        const cookie = await stage.signIn();
        const page = await fetch(`${stage.url}/`, { headers: { Cookie: cookie } });
        expect([page.status, await page.text()]).toEqual([200, "hello"]);
        expect((await fetch(`${stage.url}/_runegate/health/ready`)).status).toBe(200);
        for (const user of ["", "gate:wrong@", "default:@"]) {
          const stranger = new Bun.RedisClient(`redis://${user}127.0.0.1:${port}/0`, {
            autoReconnect: false,
          });
          expect(
            await stranger.get("{runegate}:x").then(
              () => "in",
              () => "refused",
            ),
          ).toBe("refused");
          stranger.close();
        }
        expect(readFileSync(join(place, "run/valkey/users.acl"), "utf8")).not.toContain(PASSWORD);
      } finally {
        server.signal("SIGTERM");
        await server.exited;
      }
    },
  );
});
