"""The decoder that runtimes without transformers are made from: plain torch, static shapes, explicit mask and cache.

    from studio.export.decoder.build import build
    decoder = build(folder, context=512)                  # a merged folder; Decoder, float32, eval mode
    logits = decoder(input_ids, positions)                # [1, n], [n] -> [1, n, vocabulary]

`architecture` reads the numbers from a config (without torch), `modules` computes, `build` puts weights into modules.
"""
