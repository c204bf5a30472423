"""Figures of tracks against labels, with intervals over songs, beside goals and other predictors.

`labelled` brings tracks and labels together; `measuring`, `calibration`, `lags`, `genres`, `properties`, `gain` and
`comparison` compute; `report` lays everything out as tables, JSON and Markdown. `learning` is of several predictors.
"""
