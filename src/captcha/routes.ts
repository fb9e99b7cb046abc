import { lateHandlers, ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";

/** What tells people from robots, before a mail is asked for. All but this is loaded when it is first needed. */
export function captchaRoom(house: House): Room {
  if (house.options.captcha === "off") return { name: "captcha" };
  const load = atFirstUse(async () => (await import("./gate.ts")).createCaptchaGate(house));
  return {
    ...ownRoutes("captcha", [{ path: "/captcha", handlers: { GET: lateHandlers<"offer">(load)("offer") } }]),
    beforeAsk: {
      part: async (arrival) => (await load()).part(arrival),
      judge: async (arrival, fields) => (await load()).judge(arrival, fields),
    },
  };
}
