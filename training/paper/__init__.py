"""The systems, the training and the tables of the paper that moodring comes from.

Malik, Adavanne, Drossos, Virtanen, Ticha, Jarina, "Stacked convolutional and recurrent neural networks for music
emotion recognition", Sound and Music Computing 2017: "the paper" in this package. The way of the data::

    material ──songs──▶ sequences ──▶ fitting ◀── networks ◀── configuration
                                         │
                    fusion ──▶ systems ◀─┘ ──▶ scores ──▶ tables, plots
"""
