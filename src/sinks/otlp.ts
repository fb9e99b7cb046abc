import { hostname } from "node:os";
import { VERSION } from "../version.ts";

/** Lines as the logs of OpenTelemetry: `ExportLogsServiceRequest` of OTLP 1.x in JSON. */

/** The lowest number of each range (Logs Data Model, SeverityNumber). */
const SEVERITY: Readonly<Record<string, number>> = { trace: 1, debug: 5, info: 9, warn: 13, error: 17 };

export function otlpRequest(lines: readonly string[]): string {
  const resource = {
    attributes: attributesOf({
      "service.name": "runegate",
      "service.version": VERSION,
      "host.name": hostname(),
    }),
  };
  const scope = { name: "runegate", version: VERSION };
  return JSON.stringify({
    resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: lines.map(record) }] }],
  });
}

function record(line: string) {
  const { time, level, message, ...rest } = JSON.parse(line) as Record<string, unknown>;
  return {
    // 64-bit integers are texts in protobuf's JSON.
    timeUnixNano: `${Date.parse(String(time))}000000`,
    severityNumber: SEVERITY[String(level)] ?? 0,
    severityText: String(level).toUpperCase(),
    body: { stringValue: String(message) },
    attributes: attributesOf(rest),
  };
}

function attributesOf(fields: Readonly<Record<string, unknown>>) {
  return Object.entries(fields).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: unknown) {
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value !== "number") return { stringValue: String(value) };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** How many records a 200 says were not taken (`partialSuccess` of the answer). */
export function otlpRejected(answer: string): number {
  try {
    const rejected = Number(JSON.parse(answer)?.partialSuccess?.rejectedLogRecords ?? 0);
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0;
  } catch {
    // An answer in protobuf, or none.
    return 0;
  }
}
