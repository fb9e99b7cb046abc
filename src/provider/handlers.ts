import type { House } from "../house.ts";
import { createAuthorize } from "./authorize.ts";
import { createClientBook } from "./book.ts";
import { createDevice } from "./device.ts";
import { discoveryOf } from "./discovery.ts";
import { createEndSession } from "./end-session.ts";
import { createEndings } from "./endings.ts";
import { createProviderService } from "./service.ts";
import { type CountToken, createTokenEndpoints } from "./token-endpoints.ts";

/** The provider, made when it is first needed. */
export function createProvider(house: House, count: CountToken) {
  const service = createProviderService(house);
  const device = createDevice(house, service);
  const authorize = createAuthorize(house, service);
  const endSession = createEndSession(house, service);
  const programs = createTokenEndpoints(house, service, device.grant, count);
  const described = JSON.stringify(discoveryOf(service.issuer, house.clients));

  const endings = createEndings(house, service);

  return {
    service,
    endings,
    book: createClientBook(house, service, endings),
    handlers: {
      ...authorize,
      ...programs,
      discovery: () => published(described, "application/json"),
      jwks: async () =>
        published(JSON.stringify({ keys: await service.keys.published() }), "application/jwk-set+json"),
      deviceBegin: device.begin,
      deviceShow: device.show,
      deviceDecide: device.decide,
      endSessionShow: endSession.show,
      endSessionPost: endSession.post,
    },
  };
}

export type Provider = ReturnType<typeof createProvider>;
export type HandlerName = keyof Provider["handlers"];

/** For whoever asks, pages of browsers included. */
function published(body: string, type: string): Response {
  return new Response(body, {
    headers: {
      "Content-Type": type,
      "Cache-Control": "public, max-age=600",
      "Access-Control-Allow-Origin": "*",
      "X-Content-Type-Options": "nosniff",
    },
  });
}
