import { type Elysia, t } from "elysia";
import { closed } from "../api/list.ts";
import { type ApiHouse, addressOf, closeApi, notAllowed, openApi } from "../api/own.ts";
import type { House } from "../house.ts";

/** Login links for an operator to hand over. */
export function loginApi(house: ApiHouse & Pick<House, "policy" | "login">): Elysia {
  const { options, policy, login } = house;
  const app = openApi("links", house).post(
    "/links",
    ({ body, set }) => {
      const address = addressOf(body.email);
      if (!policy.allows(address)) throw notAllowed(`${address} may not sign in to the running instance.`);
      set.status = 201;
      return { link: login.mintLink(address, options.landingPath) };
    },
    {
      own: { needs: "operator" },
      body: closed({ email: t.String({ maxLength: 1000 }) }),
      response: { 201: closed({ link: t.String({ format: "uri" }) }) },
      detail: {
        summary: "Make a login link",
        description: "As good as the one in a mail, and for whoever has it. It always asks for confirmation.",
      },
    },
  );
  return closeApi(app);
}
