const Ops kOps = {HEARTH_ISA,     HEARTH_HAVE_BF16 != 0,
                  quantize_rows,  matmul_q,
                  matmul_f,       rms_norm,
                  gate,           gate_quantize,
                  rope,           store_kv_token,
                  attention,      attention_merge,
                  argmax,         logsumexp,
                  exponentials,   int8_peak_loop,
                  float_peak_loop, read_loop};
