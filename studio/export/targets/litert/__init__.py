"""LiteRT: a .tflite of the merged model, and with tokenizer, template and stop tokens a .litertlm for LiteRT-LM."""
