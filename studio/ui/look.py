"""How the studio looks: Gradio's theme in our colours and fonts. The rest is static/studio.css."""

from __future__ import annotations

from typing import Any

HEAD = (
    '<meta name="color-scheme" content="light dark">'
    '<link rel="preload" href="/look/fonts/inter.woff2" as="font" type="font/woff2" crossorigin>'
    '<script src="/look/studio.js"></script>'
    '<script src="/look/desk.js"></script>'
    '<script src="/look/rate.js"></script>'
    '<script src="/look/feedback.js"></script>'
)


def theme() -> Any:
    """Gradio's plainest theme, with borders where there is something to fill in and none elsewhere."""
    from gradio import themes

    light = {
        "body_background_fill": "#f6f7f9",
        "body_text_color": "#16181d",
        "body_text_color_subdued": "#565d6b",
        "background_fill_primary": "#ffffff",
        "background_fill_secondary": "#f6f7f9",
        "border_color_primary": "#d9dde4",
        "input_background_fill": "#ffffff",
        "input_border_color": "#c3c9d4",
        "input_placeholder_color": "#6b7280",
        "button_secondary_background_fill": "#ffffff",
        "button_secondary_background_fill_hover": "#f1f3f6",
        "button_secondary_border_color": "#c3c9d4",
        "button_secondary_text_color": "#16181d",
        "button_cancel_background_fill": "#ffffff",
        "button_cancel_background_fill_hover": "#fef2f2",
        "button_cancel_border_color": "#e3b4b4",
        "button_cancel_text_color": "#b42318",
        "checkbox_label_background_fill": "#ffffff",
        "checkbox_label_background_fill_selected": "#eef2ff",
        "checkbox_label_border_color": "#c3c9d4",
        "block_label_text_color": "#3c4250",
        "block_title_text_color": "#16181d",
        "block_info_text_color": "#565d6b",
    }
    dark = {
        "body_background_fill": "#0e1014",
        "body_text_color": "#eceef2",
        "body_text_color_subdued": "#a3abba",
        "background_fill_primary": "#171a21",
        "background_fill_secondary": "#0e1014",
        "border_color_primary": "#2a2f3a",
        "input_background_fill": "#11141a",
        "input_border_color": "#3b4250",
        "input_placeholder_color": "#8d95a5",
        "button_secondary_background_fill": "#1d212a",
        "button_secondary_background_fill_hover": "#262b36",
        "button_secondary_border_color": "#3b4250",
        "button_secondary_text_color": "#eceef2",
        "button_cancel_background_fill": "#1d212a",
        "button_cancel_background_fill_hover": "#3a1d1d",
        "button_cancel_border_color": "#6b3434",
        "button_cancel_text_color": "#f5a3a3",
        "checkbox_label_background_fill": "#1d212a",
        "checkbox_label_background_fill_selected": "#272a55",
        "checkbox_label_border_color": "#3b4250",
        "block_label_text_color": "#c9ceda",
        "block_title_text_color": "#eceef2",
        "block_info_text_color": "#a3abba",
    }
    common = {
        "block_border_width": "0px",
        "block_padding": "0px",
        "block_shadow": "none",
        "block_background_fill": "transparent",
        "block_background_fill_dark": "transparent",
        "block_title_text_weight": "600",
        "block_title_text_size": "*text_sm",
        "block_info_text_size": "13px",
        "input_border_width": "1px",
        "input_shadow": "none",
        "input_radius": "8px",
        "input_padding": "9px 12px",
        "button_large_radius": "8px",
        "button_medium_radius": "8px",
        "button_small_radius": "7px",
        "button_border_width": "1px",
        "button_primary_background_fill": "#4f46e5",
        "button_primary_background_fill_hover": "#4338ca",
        "button_primary_border_color": "#4f46e5",
        "button_primary_text_color": "#ffffff",
        "button_primary_background_fill_dark": "#4f46e5",
        "button_primary_background_fill_hover_dark": "#6366f1",
        "button_primary_text_color_dark": "#ffffff",
        "checkbox_label_border_width": "1px",
        "color_accent": "#4f46e5",
        "color_accent_soft": "#eef2ff",
        "color_accent_soft_dark": "#272a55",
    }
    fonts: dict[str, Any] = {
        "font": [themes.Font("Inter Variable"), themes.Font("system-ui"), themes.Font("sans-serif")],
        "font_mono": [themes.Font("JetBrains Mono Variable"), themes.Font("ui-monospace"), themes.Font("monospace")],
    }
    base = themes.Base(primary_hue="indigo", neutral_hue="slate", **fonts)
    return base.set(**common, **light, **{f"{name}_dark": value for name, value in dark.items()})
