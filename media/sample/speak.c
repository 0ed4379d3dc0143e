/*
 * speak: the op that says the prompt: espeak-ng, text by stdin. The seed moves the voice's pitch a
 * little.
 */
#include <stdio.h>
#include <string.h>

#include "media/sample/sample.h"
#include "media/sample/prng.h"
#include "media/tool/program.h"
#include "media/files/ffmpeg.h"

/* espeak-ng reads [[ ]] as phoneme names and < > as nothing good; a prompt is plain words. */
static char *plain(const char *prompt)
{
    char *text = g_strconcat(prompt, "\n", NULL);

    for (char *c = text; *c != '\0'; c++)
        if (*c == '[' || *c == ']' || *c == '<' || *c == '>')
            *c = ' ';
    return text;
}

/* espeak-ng writes a short silence for a text of signs alone. */
static bool is_heard(const char *path, struct ffmpeg_facts *facts)
{
    struct fault unheard = { 0 };
    struct wave *wave    = g_new0(struct wave, 1);
    float        loudest = 0;

    if (ffmpeg_check(path, FORMAT_WAV, facts, wave, &unheard))
        for (int i = 0; i < WAVE_COLUMNS; i++)
            loudest = MAX(loudest, wave->high[i]);
    g_free(wave);
    return loudest > 0.01f;
}

json_t *op_speak(struct request *request, struct fault *fault)
{
    struct speech_params params;
    struct prng          prng = prng_of(sample_key(request), "pitch");
    struct ffmpeg_facts  facts;
    char                 speed[12], pitch[12], *text, *out = NULL;
    size_t               bytes;
    bool                 ok;

    if (!speech_params(request, &params, fault))
        return NULL;
    int pitched = CLAMP(params.pitch + prng_below(&prng, 13) - 6, 0, 99);
    snprintf(speed, sizeof speed, "%d", params.speed);
    snprintf(pitch, sizeof pitch, "%d", pitched);
    const char *const argv[] = {
        "espeak-ng", "-v", params.voice,     "-s",      speed, "-p", pitch, "-b",
        "1",         "-w", "out/speech.wav", "--stdin", NULL
    };

    request_progress(request, 0.1f, "speaking");
    text = plain(request->prompt);
    ok   = program_run(argv, text, &out, &bytes, 4096, 120, false, EXIT_TRANSIENT, fault);
    g_free(text);
    g_free(out);
    request_progress(request, 0.8f, "listening");
    if (!ok)
        return NULL;
    if (!is_heard("out/speech.wav", &facts)) {
        fault_set(fault, EXIT_INVALID, "/prompt: holds nothing that can be spoken");
        return NULL;
    }
    return request_answer(request, "speak",
                          json_pack("{s:s, s:i, s:i, s:I}", "voice", params.voice, "speed",
                                    params.speed, "pitch", pitched, "duration_ms",
                                    (json_int_t)facts.duration_ms),
                          "out/speech.wav", "work");
}
