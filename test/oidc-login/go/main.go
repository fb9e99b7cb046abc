// A provider on zitadel/oidc, as its own example makes one, and what that leaves out: telling a client that somebody has logged out
// (OpenID Connect Back-Channel Logout 1.0), signed by the provider's own key. GET /tell-logout?sub=...&to=... does it, and answers with
// what the client answered.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	port := os.Getenv("PORT")
	issuer := fmt.Sprintf("http://localhost:%s/", port)
	storage.RegisterClients(storage.WebClient("web", "secret", os.Getenv("REDIRECT_URI")))
	store := storage.NewStorage(storage.NewUserStore(issuer))
	provider := exampleop.SetupServer(issuer, store, slog.Default(), false)

	http.HandleFunc("/tell-logout", func(response http.ResponseWriter, request *http.Request) {
		token, err := logoutToken(request, store, issuer)
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		answer, err := http.PostForm(request.FormValue("to"), url.Values{"logout_token": {token}})
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		response.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(response, answer.Body)
	})
	http.Handle("/", provider)
	fmt.Println("server listening")
	panic(http.ListenAndServe("localhost:"+port, nil))
}

func logoutToken(request *http.Request, store *storage.Storage, issuer string) (string, error) {
	key, err := store.SigningKey(request.Context())
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: key.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: key.Key(), KeyID: key.ID()}},
		(&jose.SignerOptions{}).WithType("logout+jwt"),
	)
	if err != nil {
		return "", err
	}
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "aud": "web", "sub": request.FormValue("sub"), "iat": now, "exp": now + 120, "jti": uuid.NewString(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
