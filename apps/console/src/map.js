// The map below the aircraft: coastlines, borders and names, all from this server; no tiles, no fonts from elsewhere.
import { Map, NavigationControl, ScaleControl, setWorkerUrl } from "./vendor/maplibre-gl.js";

const FONT = ["Inter, Segoe UI, system-ui, Noto Sans, DejaVu Sans, sans-serif"];
const at = (path) => new URL(path, import.meta.url).href;

/** Where the map opens: the built-in recordings; on a narrow screen the larger of them. */
export const home = (width) =>
  width < 700 ? { center: [8.2, 46.85], zoom: 5.9 } : { center: [5.1, 47.75], zoom: width < 1100 ? 5.6 : 6.05 };

/** Whether this browser can draw the map at all. */
export function drawable() {
  const probe = document.createElement("canvas").getContext("webgl2");
  probe?.getExtension("WEBGL_lose_context")?.loseContext();
  return probe !== null;
}

export function createMap(container) {
  setWorkerUrl(at("./vendor/maplibre-gl-worker.js"));
  const map = new Map({
    container,
    style: style(),
    ...home(container.clientWidth),
    minZoom: 1.2,
    maxZoom: 14,
    hash: true,
    attributionControl: false,
    // north stays up: headings are read against it, and the overlay's projection is two multiplications
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    renderWorldCopies: true,
    fadeDuration: 120,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new ScaleControl({ maxWidth: 110 }), "bottom-left");
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-left");
  return map;
}

function style() {
  const geojson = (name, more = {}) => ({ type: "geojson", data: at(`./geo/${name}.json`), tolerance: 0.25, ...more });
  return {
    version: 8,
    sources: {
      land: geojson("land"),
      coarse: geojson("borders-coarse", { maxzoom: 6 }),
      borders: geojson("borders"),
      countries: geojson("countries"),
      grid: { type: "geojson", data: graticule() },
    },
    layers: [
      { id: "sea", type: "background", paint: { "background-color": "#0a101c" } },
      {
        id: "grid",
        type: "line",
        source: "grid",
        paint: { "line-color": "#1a2740", "line-width": 0.6, "line-opacity": 0.8 },
      },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": "#141e32", "fill-antialias": true } },
      {
        id: "coast",
        type: "line",
        source: "land",
        paint: { "line-color": "#3d5582", "line-width": ["interpolate", ["linear"], ["zoom"], 2, 0.5, 8, 1.3] },
      },
      borderLines("borders-coarse", "coarse", { maxzoom: 4.5 }),
      borderLines("borders", "borders", { minzoom: 4.5 }),
      {
        id: "countries",
        type: "symbol",
        source: "countries",
        maxzoom: 8.5,
        layout: {
          "text-field": ["upcase", ["get", "name"]],
          "text-font": FONT,
          "text-size": ["interpolate", ["linear"], ["zoom"], 2, 9, 6, 13],
          "text-letter-spacing": 0.18,
          "text-max-width": 8,
          "symbol-sort-key": ["-", ["get", "area"]],
          "text-padding": 6,
        },
        paint: { "text-color": "#6a80ad", "text-halo-color": "#141e32", "text-halo-width": 1 },
        // the small ones wait until there is room for them
        filter: [">=", ["get", "area"], ["step", ["zoom"], 60, 3, 20, 4, 4, 5, 0.5, 6, 0.02]],
      },
    ],
  };
}

function borderLines(id, source, range) {
  return {
    id,
    type: "line",
    source,
    ...range,
    layout: { "line-join": "round" },
    paint: {
      "line-color": "#4a6194",
      "line-width": ["interpolate", ["linear"], ["zoom"], 2, 0.5, 6, 1.1, 10, 1.6],
      "line-dasharray": [3, 2],
    },
  };
}

function graticule() {
  const lines = [];
  for (let lon = -180; lon < 180; lon += 10) lines.push([[lon, -85], [lon, 0], [lon, 85]]);
  for (let lat = -80; lat <= 80; lat += 10) lines.push(Array.from({ length: 37 }, (_, index) => [index * 10 - 180, lat]));
  return { type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } };
}
