"""Whether answers are right: an MTP server's beside Off's, and every arm's to a task whose score is known.

    agreement   the same questions to both arms, and how far their answers go together
    lm_eval     a task of lm-eval, such as GSM8K, put to the server that is measured

Both ask the very servers that are measured, outside their load; what is found becomes a verdict on each point.
"""
