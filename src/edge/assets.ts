import { findAsset } from "../pages/assets.ts";
import { failure, isCurrent, NOT_FOUND } from "./answer.ts";
import type { Arrival } from "./arrival.ts";
import { type OwnRoutes, ownRoutes } from "./own.ts";

/** The pages' own assets: in the executable, named by their content, so kept by browsers for ever. */
export function assetRoom(): OwnRoutes {
  function serve(arrival: Arrival): Response {
    const asset = findAsset(arrival.target.path);
    if (asset === undefined) {
      return failure(arrival, NOT_FOUND);
    }
    const headers = {
      "Cache-Control": "public, max-age=31536000, immutable",
      "Content-Type": asset.type,
      ETag: asset.etag,
      "X-Content-Type-Options": "nosniff",
    };
    return isCurrent(arrival, asset.etag)
      ? new Response(null, { status: 304, headers })
      : new Response(asset.body, { headers });
  }

  return ownRoutes("assets", [{ path: "/static/*", handlers: { GET: serve } }]);
}
