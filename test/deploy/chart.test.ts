import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { OPTION_LIST, OPTION_NAMES } from "../../src/config/options.ts";
import { isConfidential } from "../../src/option/option.ts";
import { withChartOptions } from "../support/chart-options.ts";

/** What of the Helm chart must agree with the source. What Helm makes of it is for helm.system.test.ts. */

const chart = join(import.meta.dir, "../../deploy/helm");
const schema = readFileSync(join(chart, "values.schema.json"), "utf8");
const options = Object.keys(JSON.parse(schema).properties.options.properties);

test("the schema knows every option by its name, and no other", () => {
  expect(withChartOptions(schema)).toBe(schema);
  expect(options.length).toBeGreaterThan(40);
  expect(options.filter((name) => !OPTION_NAMES.includes(name))).toEqual([]);
  expect(options).toContain("RUNEGATE_SESSION_TTL");
});

test("no secret may stand among the options, where everybody who sees a Deployment would read it", () => {
  const secrets = OPTION_LIST.flatMap(([, option]) => (isConfidential(option) ? [option.name] : []));
  expect(secrets.length).toBeGreaterThan(5);
  expect(options.filter((name) => secrets.includes(name))).toEqual([]);
  expect(options).toContain("RUNEGATE_JWT_SECRET_PREVIOUS_FILE");
});

test("the image is that of this version", () => {
  const { appVersion } = Bun.YAML.parse(readFileSync(join(chart, "Chart.yaml"), "utf8")) as {
    appVersion: string;
  };
  expect(appVersion).toBe(manifest.version);
});
