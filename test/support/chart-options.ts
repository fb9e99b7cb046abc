import { ENV_FILE, OPTION_LIST } from "../../src/config/options.ts";
import { isConfidential } from "../../src/option/option.ts";

/** What the Helm chart takes as `options`: every option that it does not set itself, and of secrets their files alone. */

/** Set by the chart: where it listens, the store, and where files are. */
const SET_BY_CHART = new Set([
  ENV_FILE.name,
  ...["RUNEGATE_LISTEN", "RUNEGATE_LISTEN_GROUP", "RUNEGATE_LISTEN_MODE", "RUNEGATE_CHECK_LISTEN"],
  ...["RUNEGATE_CONTROL_SOCKET", "RUNEGATE_ROUTES", "RUNEGATE_EMAIL_CONFIG"],
  ...["RUNEGATE_STORE_FILE", "RUNEGATE_JWT_SECRET_FILE", "RUNEGATE_SESSION_KEY_FILE"],
]);

export function chartOptions(): string[] {
  return OPTION_LIST.map(([, option]) =>
    isConfidential(option) ? `${option.name}_FILE` : option.name,
  ).filter((name) => !SET_BY_CHART.has(name));
}

/** @param schema the text of `values.schema.json`. */
export function withChartOptions(schema: string): string {
  const parsed = JSON.parse(schema);
  parsed.properties.options.properties = Object.fromEntries(
    chartOptions().map((name) => [name, { $ref: "#/$defs/value" }]),
  );
  return `${JSON.stringify(parsed, null, 2)}\n`;
}
