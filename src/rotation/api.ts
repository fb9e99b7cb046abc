import { type Elysia, type Static, t } from "elysia";
import { closed } from "../api/list.ts";
import { type ApiHouse, closeApi, openApi } from "../api/own.ts";
import { timeOf } from "../api/time.ts";
import type { House, Renewal } from "../house.ts";

const COUNT = t.Number({ minimum: 0, multipleOf: 1 });

const Needed = closed({
  what: t.String({ description: "such as sessions" }),
  renewed: COUNT,
  left: COUNT,
  left_until: t.Union([t.String({ format: "date-time" }), t.Null()], {
    description: "when the last of those that are left ends by itself",
  }),
});

const Standing = closed({
  rotated: t.Boolean({ description: "whether the instance has a session key before this one" }),
  items: t.Array(Needed),
});
export type RotationStanding = Static<typeof Standing>;

export function rotationApi(
  house: ApiHouse & Pick<House, "keys">,
  renew: () => Promise<readonly Renewal[]>,
): Elysia {
  const app = openApi("rotation", house).post(
    "/secrets/renew",
    async (): Promise<RotationStanding> => ({
      rotated: house.keys.isRotated,
      items: (await renew()).map(({ what, renewed, left, leftUntil }) => ({
        ...{ what, renewed, left },
        left_until: leftUntil === undefined ? null : timeOf(leftUntil),
      })),
    }),
    {
      own: { needs: "operator" },
      response: { 200: Standing },
      detail: {
        summary: "Seal anew what is kept under the session key before this one, and count what cannot be",
      },
    },
  );
  return closeApi(app);
}
