import type { AdminScreen } from "../admin/screen.ts";
import type { House } from "../house.ts";
import { actForm, bdi, tableOf, timeOf } from "../pages/tables.ts";
import { concat, type Value } from "../pages/template.ts";
import { TUNNEL_REVOKED } from "./audit.ts";
import type { TunnelBook } from "./book.ts";
import { LINKS, type LinkRecord } from "./record.ts";

const MOST_SHOWN = 1_000;

/** Tunnels, who is connected for them, and ending one. They are made where their token can be kept: on the command line, or by the API. */
export function tunnelScreen(house: Pick<House, "stores" | "auditFirst">, book: TunnelBook): AdminScreen {
  const links = house.stores.records(LINKS);

  function connectionOf(
    { tunnel, since, from, version, roundTrip, ...one }: LinkRecord,
    now: number,
  ): Value[] {
    const trip = roundTrip === null ? "" : `${roundTrip.toFixed(1)} ms`;
    return [
      ...[bdi(tunnel), timeOf(since, now), bdi(from), bdi(version), trip],
      ...[String(one.streams), String(one.sent), String(one.received)],
    ];
  }

  return {
    id: "tunnels",
    label: "Tunnels",
    notices: { revoked: "It is ended. Who was connected for it is cut off within five seconds." },

    async show({ now }) {
      const there = (await links.find({ most: MOST_SHOWN })).map(({ record }) => record);
      return concat([
        tableOf({
          caption: "Tunnels",
          columns: ["Name", "Made", "By", "Last seen", "What to do"],
          rows: (await book.list()).map(({ name, createdAt, createdBy, seenAt }) => [
            ...[bdi(name), timeOf(createdAt, now), bdi(createdBy)],
            seenAt === null ? "never" : timeOf(seenAt, now),
            actForm({
              ...{ act: "revoke", fields: { name }, label: "Revoke", name: `Revoke ${name}` },
              confirm: `End the tunnel ${name} and its token for good?`,
            }),
          ]),
          empty: "There are no tunnels. `runegate tunnels create` makes one.",
          live: "tunnels",
        }),
        tableOf({
          caption: "Connected now",
          columns: ["Tunnel", "Since", "From", "Version", "Round trip", "Streams", "Bytes sent", "Received"],
          rows: there.map((one) => connectionOf(one, now)),
          empty: "No connector is connected.",
          live: "connections",
        }),
      ]);
    },

    acts: {
      async revoke({ admin }, { name = "" }) {
        if ((await book.get(name)) === undefined) return { error: "There is no such tunnel any more." };
        await house.auditFirst(TUNNEL_REVOKED, { of: name, actor: admin });
        await book.revoke(name);
        return { done: "revoked" };
      },
    },
  };
}
