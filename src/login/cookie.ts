/** Ties a browser to the login it asked for; lives as long as the link does. */
export const LOGIN_COOKIE = "runegate_login";
