/** Of the management API, on the control socket alone: it is about this process, and no room of the gateway knows it. */
export const RENEW_PATH = "/certificates/renew";
