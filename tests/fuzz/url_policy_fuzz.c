/*
 * url_policy: a URL that passes leads to the one host that was named, over https, and is read so again.
 */
#include "pipeline_runner/http/url_policy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_again(const struct url_policy *policy, const json_t *hosts,
                        const struct url_policy_url *url)
{
    char                 *text = NULL, why[400];
    struct url_policy_url again;

    if (curl_url_get(url->parts, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return;
    if (!url_policy_check(policy, text, hosts, &again, why, sizeof why)
        || strcmp(again.host, url->host) != 0 || again.port != url->port)
        __builtin_trap();
    url_policy_url_free(&again);
    curl_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct url_policy    *policy = url_policy_open("");
    json_t               *hosts  = json_loads("[\"a.example\",\"*.b.example:8443\"]", 0, NULL);
    char                 *text   = strndup((const char *)bytes, count), why[400];
    struct url_policy_url url;

    if (url_policy_check(policy, text, hosts, &url, why, sizeof why)) {
        size_t len = strlen(url.host);

        if (!url.is_https || url.is_trusted
            || (strcmp(url.host, "a.example") != 0
                && (len < 11 || strcmp(url.host + len - 10, ".b.example") != 0)))
            __builtin_trap();
        check_again(policy, hosts, &url);
        free(url_policy_follow(&url, text));
    }
    url_policy_url_free(&url);
    free(text);
    json_decref(hosts);
    url_policy_close(policy);
    return 0;
}
