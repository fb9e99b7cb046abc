import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../build/support.ts";
import { good, made } from "../support/made.ts";
import { needs, skipBecause } from "../support/needs.ts";

/** The Helm chart as Helm renders it, and as Kubernetes would understand it. Both are fetched once and kept in a cache. */

const CHART = join(root, "deploy/helm");

const HELM = "helm.sh/helm/v4/cmd/helm@v4.3.1";
const SCHEMAS = "kubernetes-validate==1.37.0";
const GATEWAY_API = "sigs.k8s.io/gateway-api@v1.6.1";
/** The oldest that the chart takes, and the newest there are schemas of. */
const VERSIONS = ["1.30", "1.37"];

export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: what a manifest holds is what the tests look at, kind by kind.
  readonly [field: string]: any;
};

export type Values = Readonly<Record<string, unknown>>;

/** `install` installs nothing: it ends with what is said after an installation. */
const COMMANDS = {
  lint: ["lint", "--strict"],
  template: ["template", "gate"],
  install: ["install", "gate", "--dry-run=client"],
} as const;

export type Tools = {
  helm(command: keyof typeof COMMANDS, values: Values): ReturnType<typeof run>;
  /** What Kubernetes would not take, a line each: a field that is not there, a value of another kind. */
  objections(manifests: readonly Manifest[]): Promise<string>;
};

/**
 * @param folder for what is written meanwhile.
 * @returns undefined to skip.
 */
export async function installTools(folder: string): Promise<Tools | undefined> {
  const [go, python] = [needs("go"), needs("python3")];
  if (go === undefined || python === undefined) return undefined;
  try {
    const helm =
      process.env.RUNEGATE_TEST_HELM ??
      join(
        await made("helm-4.3.1", async (GOBIN) => void (await good([go, "install", HELM], { GOBIN }))),
        "helm",
      );
    const venv = await made("kubernetes-validate-1.37.0", async (place) => {
      await good([python, "-m", "venv", place]);
      await good([join(place, "bin/python"), "-m", "pip", "install", "--quiet", SCHEMAS]);
    });
    const { Dir } = JSON.parse(await good([go, "mod", "download", "-json", GATEWAY_API]));
    const definition = join(Dir, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml");
    return toolsOf(folder, helm, join(venv, "bin/python"), readFileSync(definition, "utf8"));
  } catch (error) {
    skipBecause(`Helm or the schemas of Kubernetes cannot be installed (${error})`);
    return undefined;
  }
}

function toolsOf(folder: string, helm: string, python: string, httpRoute: string): Tools {
  const program = join(folder, "validate.py");
  const definition = Bun.YAML.parse(httpRoute) as {
    spec: { versions: { name: string; schema: { openAPIV3Schema: unknown } }[] };
  };
  const schema = definition.spec.versions.find(({ name }) => name === "v1")?.schema.openAPIV3Schema;
  writeFileSync(program, VALIDATE);
  writeFileSync(join(folder, "httproute.json"), JSON.stringify(strict(schema)));
  const env = {
    HELM_CACHE_HOME: folder,
    HELM_CONFIG_HOME: folder,
    HELM_DATA_HOME: folder,
  };
  let count = 0;
  return {
    helm(command, values) {
      const file = join(folder, `values-${++count}.json`);
      writeFileSync(file, JSON.stringify(values));
      return run([helm, ...COMMANDS[command], CHART, "--values", file], { env });
    },
    async objections(manifests) {
      const file = join(folder, `manifests-${++count}.json`);
      writeFileSync(file, JSON.stringify({ manifests, versions: VERSIONS }));
      return good([python, program, file, join(folder, "httproute.json")], env);
    },
  };
}

/** A definition's schema leaves out what it does not name; here that is a mistake. */
function strict(schema: unknown): unknown {
  if (typeof schema !== "object" || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(strict);
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
  const named = typeof inner.properties === "object" && inner.type === "object";
  return named ? { additionalProperties: false, ...inner } : inner;
}

const VALIDATE = `
import json, sys
import jsonschema, kubernetes_validate
given = json.load(open(sys.argv[1]))
http_route = json.load(open(sys.argv[2]))
http_route["properties"]["metadata"] = {"type": "object"}
for manifest in given["manifests"]:
    name = manifest["kind"] + "/" + manifest["metadata"]["name"]
    if manifest["kind"] == "HTTPRoute":
        for error in jsonschema.Draft202012Validator(http_route).iter_errors(manifest):
            print(name, list(error.absolute_path), error.message)
        continue
    for version in given["versions"]:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except Exception as error:
            print(name, version, str(error).splitlines()[0])
`;

/** Helm's output, one manifest after the other. */
export function manifestsIn(rendered: string): Manifest[] {
  return rendered
    .split(/^---$/m)
    .map((text) => Bun.YAML.parse(text) as Manifest | null)
    .filter((manifest) => manifest !== null && typeof manifest === "object");
}
