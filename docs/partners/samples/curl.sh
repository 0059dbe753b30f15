#!/usr/bin/env bash
# A call through the door with curl and openssl: a token, the call, its promise, its receipt, the check of it.
# Lies in the folder that `cargo egov partner new NAME` wrote; what it needs of the connection stands in partner.env there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/partner.env"
# The program that checks a receipt: `cargo egov` in a clone, or the binary.
read -ra egov <<<"${EGOV:-cargo egov}"
# How the door is called: `grpc` (a frame of protobuf over HTTP/2) or `rest` (JSON, by the google.api.http of the contract).
way=${EGOV_WAY:-rest}
procedure=${1:-1.001193}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 1. A token: client credentials (RFC 6749, section 4.4), proved by a signed assertion (RFC 7523). It counts five minutes.
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
header=$(printf '{"alg":"EdDSA","typ":"JWT","kid":"%s"}' "$EGOV_CLIENT_KEY_ID" | base64url)
claims=$(printf '{"iss":"%s","sub":"%s","aud":"%s","iat":%s,"exp":%s,"jti":"%s"}' \
    "$EGOV_CLIENT_ID" "$EGOV_CLIENT_ID" "$EGOV_TOKEN_ENDPOINT" "$now" "$((now + 60))" "$(openssl rand -hex 16)" | base64url)
printf '%s' "$header.$claims" >"$work/signed"
signature=$(openssl pkeyutl -sign -inkey "$here/client-key.pem" -rawin -in "$work/signed" | base64url)
token=$(curl -sSf "$EGOV_TOKEN_ENDPOINT" \
    --data-urlencode grant_type=client_credentials \
    --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    --data-urlencode "client_assertion=$header.$claims.$signature" |
    sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
echo "token: ${token:0:20}…"

# 2. The call. Under an agreement in force it is recorded, forwarded, recorded and answered.
by_rest() {
    curl -sS -D "$work/headers" -o "$work/answer" "$EGOV_DOOR/v1/procedures/$procedure" \
        -H "authorization: Bearer $token" -H "x-egov-service: $EGOV_SERVICE_ID"
    cat "$work/answer"
    echo
    grep -qE '^HTTP/[0-9.]+ 200' "$work/headers"
}
by_grpc() {
    # GetProcedureRequest{procedure_code = 1}: a field (tag 0x0a, length, text) in a frame (not compressed, length in four bytes).
    local length=${#procedure}
    printf '%b' "\\x00\\x00\\x00\\x00$(printf '\\x%02x' $((length + 2)))\\x0a$(printf '\\x%02x' "$length")$procedure" >"$work/frame"
    curl -sS --http2-prior-knowledge -D "$work/headers" -o "$work/answer" \
        "$EGOV_DOOR/egov.onestop.v1.ProcedureService/GetProcedure" \
        -H 'content-type: application/grpc' -H 'te: trailers' \
        -H "authorization: Bearer $token" -H "x-egov-service: $EGOV_SERVICE_ID" --data-binary "@$work/frame"
    # The texts of the answer; a program reads it with the contract.
    tail -c +6 "$work/answer" | LC_ALL=C tr -s '\000-\037' '\n'
    echo
    grep -qiE '^grpc-status: 0' "$work/headers"
}
if ! "by_$way"; then
    echo 'the call was refused:' >&2
    cat "$work/headers" >&2
    exit 1
fi

# 3. The promise that the exchange will stand in the ledger.
header_of() { sed -n "s/^$1: *//Ip" "$work/headers" | tr -d '\r'; }
exchange=$(header_of x-egov-exchange)
promise=$(header_of x-egov-promise)
echo "exchange: $exchange"
echo "promise: $promise"

# 4. The receipt, and the check of it: offline, with nothing but the key of the ledger.
curl -sSf "$EGOV_URL/v1/exchanges/$exchange/receipt" -H "authorization: Bearer $token" -o "$work/receipt.json"
"${egov[@]}" verify exchange "$work/receipt.json" --key "$EGOV_LEDGER_KEY" --promise "$promise"
