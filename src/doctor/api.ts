import { type Elysia, type Static, t } from "elysia";
import { closed } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { NOT_FOUND, Refusal } from "../edge/answer.ts";
import type { House } from "../house.ts";

/** For `runegate check --edge`, which sends requests to the public address and asks here what has arrived of them. */

const Begun = closed({
  nonce: t.String({ description: "for `User-Agent: Runegate-Check/<nonce>`, within a minute" }),
  base_url: t.String({ description: "where people sign in" }),
});
export type BegunProbe = Static<typeof Begun>;

const names = (description: string) => t.Array(t.String(), { description });
const Arrived = closed({
  edge: t.Union([t.String(), t.Null()], { description: "which check it is; null for the request itself" }),
  problem: t.Union([t.String(), t.Null()], { description: "why nothing can be made of the check" }),
  proto: t.String(),
  host: t.String(),
  path: t.String(),
  trusted: t.Boolean({ description: "whether the peer is a trusted proxy" }),
  certain: t.Boolean({
    description: "false where headers tell of a proxy that does not say who the client is",
  }),
  client: t.String(),
  hops: t.Number({ description: "addresses in `X-Forwarded-For`, and the peer" }),
  carried: names("headers that the nonce came in"),
  identity: names("headers that say who is asking"),
  upgrade: t.Union([t.String(), t.Null()]),
});

export function doctorApi(house: ApiHouse & Pick<House, "probes">): Elysia {
  const { options, probes } = house;
  const app = openApi("doctor", house)
    .post(
      "/doctor/probes",
      async ({ set }) => {
        set.status = 201;
        return { nonce: await probes.begin(), base_url: options.baseUrl };
      },
      {
        own: { needs: "operator" },
        response: { 201: Begun },
        detail: { summary: "A nonce for one request to the public address" },
      },
    )
    .get(
      "/doctor/probes/:nonce",
      async ({ params }) => {
        const arrived = await probes.look(params.nonce);
        if (arrived === undefined) throw new Refusal(NOT_FOUND);
        return { arrived };
      },
      {
        own: { needs: "operator" },
        params: t.Object({ nonce: t.String({ pattern: "^[0-9a-f]{32}$" }) }),
        response: { 200: closed({ arrived: t.Array(Arrived) }) },
        detail: { summary: "What has arrived with a nonce: the request, or an edge's questions about it" },
      },
    );
  return closeApi(app);
}
