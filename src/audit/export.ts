import type { Clock } from "../clock.ts";
import type { AuditFirst } from "../observe/audit.ts";
import { AUDIT_EXPORTED } from "./audit.ts";
import { type AuditFilter, findAll } from "./find.ts";
import type { AuditTrail } from "./trail.ts";

/** All events that fit a filter, oldest first, each a line of JSON. That somebody took them is recorded before. */

export const NDJSON = "application/x-ndjson";

export type ExportHouse = {
  readonly auditTrail: Pick<AuditTrail, "find">;
  readonly auditFirst: AuditFirst;
  readonly clock: Clock;
};

/**
 * @param asked.by whoever wants them. @param asked.client their IP address. @param asked.words the filter, as it was asked for.
 * @throws {StoreUnavailable}
 */
export async function exportAudit(
  { auditTrail, auditFirst, clock }: ExportHouse,
  filter: AuditFilter,
  asked: { readonly by: string; readonly client: string; readonly words: string },
): Promise<Response> {
  await auditFirst(AUDIT_EXPORTED, { actor: asked.by, client: asked.client, filter: asked.words });
  // It would never end, where each part is followed by what has happened meanwhile.
  const until = Math.min(filter.until ?? clock.now(), clock.now());
  return linesOf(auditTrail.find, { ...filter, until });
}

/** Read as fast as it is taken, and no more than a part of it held. */
function linesOf(find: AuditTrail["find"], filter: AuditFilter): Response {
  const parts = findAll(find, filter);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await parts.next();
      if (done) return controller.close();
      controller.enqueue(encoder.encode(value.map((entry) => `${JSON.stringify(entry)}\n`).join("")));
    },
    async cancel() {
      await parts.return(undefined);
    },
  });
  const headers = {
    "Content-Type": NDJSON,
    "Content-Disposition": 'attachment; filename="audit.ndjson"',
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  };
  return new Response(body, { headers });
}
